"""Going from bottle to bottle without a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from bottlemux.lifecycle.context import Context
    from bottlemux.session.models import WindowInfo

type Direction = Literal["next", "previous", "waiting"]
DIRECTIONS: tuple[str, ...] = get_args(Direction.__value__)


def window_of_pane(context: Context, pane: str) -> WindowInfo | None:
    """Return the bottle's window that ``pane`` belongs to."""
    windows = context.workspace.list()
    return next((window for window in windows if any(own.pane_id == pane for own in window.panes)), None)


def neighbour(context: Context, direction: str, pane: str) -> WindowInfo | None:
    """Return the bottle's window that comes after (or before) the one with ``pane``, round and round.

    ``waiting`` passes over the bottles that do not wait for the operator; where none does, over those whose turn did
    not end. ``None`` when there is no other.
    """
    windows = context.workspace.list()
    here = window_of_pane(context, pane)
    slugs = [window.slug for window in windows]
    at = slugs.index(here.slug) if here is not None and here.slug in slugs else -1
    around = windows[at + 1 :] + windows[: max(at, 0)]
    if direction == "previous":
        around.reverse()
    if direction == "waiting":
        from bottlemux.lifecycle.status import collect, who_waits

        waiting = who_waits(collect(context), other_than=here.slug if here else "")
        around = [window for window in around if window.slug in waiting]
    return around[0] if around else None
