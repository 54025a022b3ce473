"""Finding and removing what no live bottle owns."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backends.registry import get_bottle_backend, known_backend_names
from bottlemux.errors import BottlemuxError
from bottlemux.state.liveness import is_alive
from bottlemux.state.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bottlemux.lifecycle.context import Context


@dataclass(frozen=True)
class Leftover:
    """What is removed in one step: what it is, a line for each thing, and how it is removed."""

    description: str
    remove: Callable[[], object]


def find_leftovers(context: Context) -> tuple[list[Leftover], list[str]]:
    """Return what can be removed, and a line for each place that could not be looked at. Changes nothing."""
    failures: list[str] = []
    found = _drafts(context)
    places: dict[str, Callable[[], list[Leftover]]] = {"tmux": lambda: _windows(context)}
    places |= {name: functools.partial(_of_backend, context, name) for name in known_backend_names()}
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
