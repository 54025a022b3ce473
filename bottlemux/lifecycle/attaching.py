"""Making the workspace complete before somebody looks at it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bottlemux.lifecycle.running import find_bottle
from bottlemux.lifecycle.windows import window_for
from bottlemux.state.liveness import is_alive
from bottlemux.state.metadata import Metadata

if TYPE_CHECKING:
    from bottlemux.lifecycle.context import Context
    from bottlemux.session.models import WindowSpec


def prepare_workspace(context: Context, *, size: tuple[int, int], layout: str | None = None) -> None:
    """Make the session if there is none, and open the window of each running bottle that has none.

    ``size`` is columns and rows of the terminal that will attach. ``layout`` is for the windows opened here.
    """
    if not open_missing(context, size=size, layout=layout):
        context.workspace.ensure(size=size)


def open_missing(context: Context, *, size: tuple[int, int], layout: str | None = None) -> bool:
    """Open the window of each running bottle that has none; tell whether there was any."""
    missing = _windowless(context, layout)
    if missing:
        context.workspace.open_windows(missing, size=size)
    return bool(missing)


def _windowless(context: Context, layout: str | None) -> list[WindowSpec]:
    shown = {window.slug for window in context.workspace.list()}
    return [
        window_for(context, replace(record, layout=layout or record.layout), find_bottle(context, record))
        for record in context.store.list()
        if isinstance(record, Metadata)
        and record.identity not in shown
        and is_alive(context.paths.bottle(record.identity))
    ]
