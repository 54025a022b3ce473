"""Finding and removing what no live bottle owns."""

from __future__ import annotations

import functools
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backends.registry import every_backend_name, get_bottle_backend
from bottlemux.errors import BottlemuxError
from bottlemux.state.liveness import is_alive
from bottlemux.state.metadata import Metadata
from bottlemux.state.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bottlemux.lifecycle.context import Context

_PROBE_TIMEOUT_S = 0.5
_BEGINNING_S = 10.0


@dataclass(frozen=True)
class Leftover:
    """What is removed in one step: what it is, a line for each thing, and how it is removed."""

    description: str
    remove: Callable[[], object]


def find_leftovers(context: Context) -> tuple[list[Leftover], list[str]]:
    """Return what can be removed, and a line for each place that could not be looked at. Changes nothing."""
    failures: list[str] = []
    found = _drafts(context) + _sockets(context)
    places: dict[str, Callable[[], list[Leftover]]] = {"tmux": lambda: _windows(context)}
    # Engines elsewhere are found by the settings, and by what is on record.
    recorded = [
        row.backend for row in context.store.list() if isinstance(row, Metadata) and "@" in row.backend
    ]
    backends = dict.fromkeys([*every_backend_name(context.paths, failures), *recorded])
    places |= {name: functools.partial(_of_backend, context, name) for name in backends}
    for name, look in places.items():
        try:
            found += look()
        except (BottlemuxError, ImportError, OSError) as error:
            failures.append(f"{name}: {error}")
    return found, failures


def _windows(context: Context) -> list[Leftover]:
    """Windows of bottles that do not live and are not recorded: nothing could bring them back."""
    workspace = context.workspace
    known = set(context.store.identities())
    return [
        Leftover(f"window of {window.slug}", _closing(context, window.slug))
        for window in workspace.list()
        if window.slug not in known and not is_alive(context.paths.bottle(window.slug))
    ]


def _closing(context: Context, slug: str) -> Callable[[], object]:
    return lambda: context.workspace.close(slug)


def _drafts(context: Context) -> list[Leftover]:
    return [Leftover(f"unfinished directory {path}", _removing(path)) for path in context.store.leftovers()]


def _sockets(context: Context) -> list[Leftover]:
    """Sockets of the user's common processes; those of bottles go with their directories."""
    stale = [path for path in stale_sockets(context.paths.runtime) if path.parent == context.paths.runtime]
    return [Leftover(f"socket {path}, on which nobody listens", path.unlink) for path in stale]


def stale_sockets(runtime: Path) -> Iterator[Path]:
    """Yield the sockets below ``runtime`` that refuse a connection: their process has ended.

    One that was made just now may belong to a process that is about to listen, and is left out.
    """
    for path in sorted([*runtime.glob("*.sock"), *runtime.glob("*/*.sock")]):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_PROBE_TIMEOUT_S)
            try:
                if time.time() - path.stat().st_mtime > _BEGINNING_S:
                    probe.connect(str(path))
            except ConnectionRefusedError:
                yield path
            except OSError:
                continue


def _removing(path: Path) -> Callable[[], object]:
    return lambda: remove_tree(path)


def _of_backend(context: Context, name: str) -> list[Leftover]:
    backend: Any = get_bottle_backend(name, paths=context.paths)
    plan = backend.prepare_cleanup()
    lines = list(backend.describe_cleanup(plan))
    if not lines:
        return []
    # A backend removes its plan in one step.
    return [Leftover("\n".join(f"{name}: {line}" for line in lines), lambda: backend.cleanup(plan))]
