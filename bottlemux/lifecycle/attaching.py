"""Making the workspace complete before somebody looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError
from bottlemux.lifecycle.recalling import in_order
from bottlemux.lifecycle.running import find_bottle
from bottlemux.lifecycle.windows import named_layout, window_for
from bottlemux.session.workspace import terminal_size
from bottlemux.state.liveness import is_alive
from bottlemux.state.metadata import Metadata

if TYPE_CHECKING:
    from bottlemux.lifecycle.context import Context
    from bottlemux.session.models import WindowSpec


type Unopened = dict[str, BottlemuxError]
"""The bottles that got no window, by identity, each with what is amiss."""


def prepare_workspace(context: Context, layout: str | None = None) -> Unopened:
    """Make the session if there is none, and open the window of each running bottle that has none.

    A new session gets the size of this process's terminal. ``layout`` is for the windows opened here. A bottle whose
    window cannot be made keeps nobody from the others; such are returned.
    """
    specs, unopened = _missing(context, layout)
    if specs:
        _open(context, specs)
    else:
        context.workspace.ensure(size=terminal_size())
    return unopened


def open_missing(context: Context) -> Unopened:
    """Open the window of each running bottle that has none, and make no session where there is none to open."""
    specs, unopened = _missing(context)
    if specs:
        _open(context, specs)
    return unopened


def _open(context: Context, specs: list[WindowSpec]) -> None:
    workspace = context.workspace
    workspace.open_windows(specs, size=terminal_size(), in_order=not workspace.exists())


def _missing(context: Context, layout: str | None = None) -> tuple[list[WindowSpec], Unopened]:
    specs: list[WindowSpec] = []
    unopened: Unopened = {}
    for record in _windowless(context):
        try:
            chosen = named_layout(context, record, layout) if layout else None
            specs.append(window_for(context, record, find_bottle(context, record), chosen))
        except BottlemuxError as error:
            unopened[record.identity] = error
    return specs, unopened


def _windowless(context: Context) -> list[Metadata]:
    shown = {window.slug for window in context.workspace.list()}
    records = {
        record.identity: record
        for record in context.store.list()
        if isinstance(record, Metadata)
        and record.identity not in shown
        and is_alive(context.paths.bottle(record.identity))
    }
    return [records[slug] for slug in in_order(context.paths, list(records))]
