"""The embedded backend: bottles made by bubblewrap, without a daemon and without root."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from backends.bubblewrap.backend import BubblewrapBackend
    from bottlemux.paths import Paths


def create(paths: Paths) -> BubblewrapBackend:
    """Return the backend, working in ``paths``; the factory behind its entry point."""
    from backends.bubblewrap.backend import BubblewrapBackend

    return BubblewrapBackend(paths)
