"""Which backends there are. One dictionary from name to factory, filled from entry points, loaded when asked for."""

from __future__ import annotations

import functools
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from bottlemux.errors import BottlemuxError, UnavailableError, unknown_name
from bottlemux.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import EntryPoint

    from backends.contract import ActiveAgent, BottleBackend

ENTRY_POINT_GROUP = "bottlemux.backends"
DEFAULT_ORDER = ("bubblewrap", "docker", "smolmachines")


@functools.cache
def _entry_points() -> dict[str, EntryPoint]:
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
    order = [name for name in DEFAULT_ORDER if name in found] + sorted(set(found) - set(DEFAULT_ORDER))
    return {name: found[name] for name in order}


def known_backend_names() -> list[str]:
    """Return the names of all registered backends, the preferred one first, whether or not they work here."""
    return list(_entry_points())


def has_backend(name: str) -> bool:
    """Say whether ``name`` (``BACKEND`` or ``BACKEND@ENGINE``) is registered."""
    return name.partition("@")[0] in _entry_points()


@functools.cache
def _load(name: str, paths: Paths) -> BottleBackend[Any, Any]:
    kind, _, engine = name.partition("@")
    factory = _entry_points()[kind].load()
    backend: BottleBackend[Any, Any] = factory(paths, engine) if engine else factory(paths)
    return backend


def get_bottle_backend(name: str | None = None, *, paths: Paths | None = None) -> BottleBackend[Any, Any]:
    """Return the backend ``name``, or the first available one when no name is given.

    ``paths`` are the directories it works in; by default those of the environment.

    Raises ``NotFoundError`` for an unknown name and ``UnavailableError`` when none works here.
    """
    paths = paths or Paths.from_environ()
    if name is not None:
        if not has_backend(name):
            raise unknown_name("backend", name, known_backend_names())
        return _load(name, paths)
    reasons: list[str] = []
    for candidate in known_backend_names():
        backend = _load(candidate, paths)
        if availability := backend.is_available():
            return backend
        reasons.append(f"{candidate}: {availability.reason}")
    raise UnavailableError(
        f"no backend works on this machine ({'; '.join(reasons)})", hint="bottlemux doctor says how to mend it"
    )


def enumerate_active_agents(
    *, paths: Paths | None = None, failures: list[str] | None = None
) -> Iterator[ActiveAgent]:
    """Yield the running bottles of every backend. One that fails is noted in ``failures`` and stops no other."""
    paths = paths or Paths.from_environ()
    for name in known_backend_names():
        try:
            yield from _load(name, paths).enumerate_active()
        except (BottlemuxError, ImportError, OSError) as error:
            if failures is not None:
                failures.append(f"{name}: {error}")
