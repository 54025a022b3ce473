"""Bottles as microVMs of smolvm: a kernel of their own and no network device, only sockets of the sidecars."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends.smolmachines.backend import SmolmachinesBackend
    from bottlemux.paths import Paths


def create(paths: Paths) -> SmolmachinesBackend:
    """Return the backend for the directories ``paths``."""
    from backends.smolmachines.backend import SmolmachinesBackend

    return SmolmachinesBackend(paths)
