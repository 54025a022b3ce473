"""What launching a bottle needs, loaded in the process that will be forked for it."""

from __future__ import annotations

import shutil
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEEDED_BY_DOCKER = (
    "docker", "docker.types", "backends.docker.backend", "backends.docker.bottle", "backends.docker.check",
    "backends.docker.images", "backends.docker.making", "backends.docker.removal", "backends.docker.sources",
)  # fmt: skip
_NEEDED_TO_LAUNCH = ("backends.bubblewrap.launcher", "backends.bubblewrap.plan")


def preload() -> None:
    """Import, compile and ask beforehand what is the same for every bottle."""
    from backends.bubblewrap import places, tool
    from bottlemux.errors import BottlemuxError

    for name in _NEEDED_TO_LAUNCH:
        import_module(name)
    places.own_code()
    try:
        tool.version(*tool.find())
    except BottlemuxError:
        return


def preload_later() -> Sequence[str]:
    """Name what bottles of an engine need, where there is its client, to be imported once nothing is asked for."""
    return _NEEDED_BY_DOCKER if shutil.which("docker") else ()
