"""How the workspace is arranged, written down as it changes, so that it comes back after tmux or the machine has gone.

A window's own arrangement is with its bottle; the order of the windows and the current one are beside the bottles.
Whoever has listed the windows anyway shows them here; tmux is asked for more only where something is another way.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError
from bottlemux.files import write_json
from bottlemux.lifecycle.recalling import SCHEMA_VERSION, order_of, read
from bottlemux.lifecycle.windows import naming
from bottlemux.session.building import SESSION
from bottlemux.session.saving import read_windows, to_layout

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bottlemux.lifecycle.context import Context
    from bottlemux.session.models import WindowInfo
    from bottlemux.session.naming import Naming
    from bottlemux.session.saving import LiveWindow


def remember(context: Context) -> None:
    """Write down how the windows are arranged now. What cannot be read or written is not remembered."""
    with contextlib.suppress(BottlemuxError):
        Recorder(context, naming(context)).record(context.workspace.list())


class Recorder:
    """Writes down what it is shown again and again, where that has changed."""

    def __init__(self, context: Context, names: Naming) -> None:
        self._context = context
        self._naming = names
        self._seen: dict[str, object] = {}
        self._order: list[str] = []

    def record(self, windows: Sequence[WindowInfo]) -> None:
        """Remember ``windows``: all that there are, in their order. What cannot be written is not remembered."""
        named = [replace(info, name=self._naming.base(info.name)) for info in windows]
        changed = [info for info in named if self._seen.get(info.slug) != _sight(info)]
        order = [info.slug for info in named]
        if not changed and order == self._order:
            return
        with contextlib.suppress(OSError, BottlemuxError):
            self._windows(changed)
            self._workspace([info for info in named if info.session == SESSION])
            self._seen = {info.slug: _sight(info) for info in named}
            self._order = order

    def _windows(self, changed: Sequence[WindowInfo]) -> None:
        if not changed:
            return
        live = read_windows(self._context.workspace.server, [info.window_id for info in changed])
        for info in changed:
            files = self._context.paths.bottle(info.slug)
            if info.window_id in live and files.state.is_dir():
                _write(files.window, _content(live[info.window_id], info))

    def _workspace(self, windows: Sequence[WindowInfo]) -> None:
        if windows:
            order = merged([info.slug for info in windows], order_of(self._context.paths))
            current = next((info.slug for info in windows if info.current), "")
            _write(self._context.paths.workspace, {"order": order, "current": current})


def _sight(info: WindowInfo) -> object:
    panes = tuple((pane.pane_id, pane.role, pane.active) for pane in info.panes)
    return info.window_id, info.session, info.name, info.layout, info.current, info.zoomed, panes


def _content(live: LiveWindow, info: WindowInfo) -> dict[str, object]:
    return {"window": to_layout(live, info).model_dump(mode="json", exclude_defaults=True)}


def _write(path: Path, content: dict[str, object]) -> None:
    if read(path) != content:
        write_json(path, {"schema_version": SCHEMA_VERSION, **content}, durable=False)


def merged(shown: Sequence[str], remembered: Sequence[str]) -> list[str]:
    """Return the slugs that are ``shown``, with the ``remembered`` ones without a window behind their neighbours."""
    order = list(shown)
    for number, slug in enumerate(remembered):
        if slug not in order:
            before = [other for other in remembered[:number] if other in order]
            order.insert(order.index(before[-1]) + 1 if before else 0, slug)
    return order
