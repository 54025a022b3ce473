"""Making the workspace complete before somebody looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.lifecycle.recalling import in_order
from bottlemux.lifecycle.running import find_bottle
from bottlemux.lifecycle.windows import named_layout, window_for
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
        context.workspace.open_windows(missing, size=size, in_order=not context.workspace.exists())
    return bool(missing)


def _windowless(context: Context, layout: str | None) -> list[WindowSpec]:
    shown = {window.slug for window in context.workspace.list()}
    records = {
        record.identity: record
        for record in context.store.list()
        if isinstance(record, Metadata)
        and record.identity not in shown
        and is_alive(context.paths.bottle(record.identity))
    }
    return [
        window_for(
            context,
            records[slug],
            find_bottle(context, records[slug]),
            named_layout(context, records[slug], layout) if layout else None,
        )
        for slug in in_order(context.paths, list(records))
    ]
