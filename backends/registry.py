"""Which backends there are. One dictionary from name to module, and entry points of others; loaded when asked for."""

from __future__ import annotations

import functools
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottlemux.errors import BottlemuxError, UnavailableError, UsageError
from bottlemux.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from importlib.metadata import EntryPoint

    from backends.contract import ActiveAgent, BottleBackend

ENTRY_POINT_GROUP = "bottlemux.backends"

type Factory = Callable[..., BottleBackend[Any, Any]]

_OWN: dict[str, str] = {
    "bubblewrap": "backends.bubblewrap",
    "docker": "backends.docker",
    "smolmachines": "backends.smolmachines",
}
"""Name and module of the backends that come with bottlemux, the preferred one first; each has ``create``."""


def _foreign() -> dict[str, EntryPoint]:
    """Return the backends that other distributions register. None of them can take the place of our own."""
    return _registered(tuple((directory, _changed_at(directory)) for directory in sys.path))


@functools.lru_cache(maxsize=1)
def _registered(_places: tuple[tuple[str, int], ...]) -> dict[str, EntryPoint]:
    """Read what every distribution registers: a hundred files, so not again before one was installed or removed."""
    from importlib.metadata import entry_points

    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
    return {name: found[name] for name in sorted(set(found) - set(_OWN))}


def _changed_at(directory: str) -> int:
    try:
        return os.stat(directory).st_mtime_ns  # noqa: PTH116
    except OSError:
        return 0


def preload() -> None:
    """Do once what every listing begins with, in a process whose forks list bottles."""
    _foreign()
    nowhere = Path("/nonexistent")
    for name in _OWN:
        _factory(name)(Paths(nowhere, nowhere, nowhere))


def _factory(kind: str) -> Factory:
    if kind in _OWN:
        factory: Factory = import_module(_OWN[kind]).create
        return factory
    loaded: Factory = _foreign()[kind].load()
    return loaded


def known_backend_names() -> list[str]:
    """Return the names of all registered backends, the preferred one first, whether or not they work here."""
    return list(_names())


def _names() -> Iterator[str]:
    """Yield them; those of others are looked for only when ours are not enough."""
    yield from _OWN
    yield from _foreign()


def every_backend_name(paths: Paths, failures: list[str] | None = None) -> list[str]:
    """Return the known names and those of the engines elsewhere that the user's settings have.

    Settings that cannot be read are noted in ``failures``.
    """
    found: list[str] = []
    for name in known_backend_names():
        found.append(name)
        try:
            found += _load(name, paths).variants()
        except (BottlemuxError, ImportError) as error:
            if failures is not None:
                failures.append(f"{name}: {error}")
    return found


def has_backend(name: str) -> bool:
    """Say whether ``name`` (``BACKEND`` or ``BACKEND@ENGINE``) is registered."""
    kind = name.partition("@")[0]
    return kind in _OWN or kind in _foreign()


@functools.cache
def _load(name: str, paths: Paths) -> BottleBackend[Any, Any]:
    kind, _, engine = name.partition("@")
    factory = _factory(kind)
    return factory(paths, engine) if engine else factory(paths)


def get_bottle_backend(name: str | None = None, *, paths: Paths | None = None) -> BottleBackend[Any, Any]:
    """Return the backend ``name``, or the first available one when no name is given.

    ``paths`` are the directories it works in; by default those of the environment.

    Raises ``UsageError`` for an unknown name and ``UnavailableError`` when none works here.
    """
    paths = paths or Paths.from_environ()
    if name is not None:
        if not has_backend(name):
            known = ", ".join(known_backend_names())
            raise UsageError(f"no backend {name!r} (known: {known})", hint="bottlemux list backends")
        return _load(name, paths)
    reasons: list[str] = []
    for candidate in _names():
        backend = _load(candidate, paths)
        if availability := backend.is_available():
            return backend
        reasons.append(f"{candidate}: {availability.reason}")
    raise UnavailableError(
        f"no backend works on this machine ({'; '.join(reasons)})",
        hint="bottlemux doctor says how to mend it",
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
