"""Windows that keep their proportions in a terminal of another size: tmux itself takes the same off every pane."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from bottlemux.session.geometry import Cell, LayoutError, layout_string, parse_layout_string, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bottlemux.session.models import WindowInfo

type Size = tuple[int, int]

_LETTERS = {"columns": "c", "rows": "r"}


def tree_mark(tree: Cell) -> str:
    """Return ``tree`` as one line for a window's mark: what was wanted, which the characters of a size round."""
    return json.dumps(_value(tree), separators=(",", ":"))


def fit_commands(window: WindowInfo, size: Size, before: str | None = None) -> list[list[str]]:
    """Return what gives ``window`` its proportions in ``size``; nothing if it has them, or shows one pane alone.

    ``before`` is its layout as it was before it was resized (default: it was not).
    """
    before = before or window.layout
    if window.zoomed:
        return []
    try:
        tree = _arrangement(before, window.tree)
        if not tree.children:
            return []
        wanted = layout_string(tree, *size)
        if parse_layout_string(wanted) == parse_layout_string(window.layout):
            return []
    except LayoutError:
        return []
    return [["select-layout", "-t", window.window_id, wanted]]


class Fitter:
    """Sees windows again and again, and gives those that were resized in between their proportions back."""

    def __init__(self) -> None:
        self._layouts: dict[str, str] = {}

    def commands(self, windows: Iterable[WindowInfo]) -> list[list[str]]:
        """Return what is to be done to ``windows``, which are all there are."""
        commands: list[list[str]] = []
        layouts: dict[str, str] = {}
        for window in windows:
            layouts[window.window_id] = window.layout
            before = self._layouts.get(window.window_id)
            if before is not None and _size(before) != _size(window.layout) is not None:
                commands += fit_commands(window, cast("Size", _size(window.layout)), before)
        self._layouts = layouts
        return commands


def _size(layout: str) -> Size | None:
    try:
        return size_of(layout)
    except LayoutError:
        return None


def _arrangement(layout: str, mark: str) -> Cell:
    """Return the tree that was wanted, or, where the user has moved a border since, the one there is."""
    there = parse_layout_string(layout)
    wanted = _tree(mark)
    if wanted is not None:
        width, height = size_of(layout)
        least = wanted.minimum()
        if width >= least[0] and height >= least[1]:
            rendered = parse_layout_string(layout_string(wanted, width, height))
            if rendered == there:
                return wanted
    return there


def _value(cell: Cell) -> list[Any]:
    if not cell.children:
        return [cell.ratio]
    return [cell.ratio, _LETTERS[cell.direction], *(_value(child) for child in cell.children)]


def _tree(mark: str) -> Cell | None:
    try:
        return _cell(json.loads(mark))
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return None


def _cell(value: list[Any]) -> Cell:
    ratio = float(value[0])
    if ratio <= 0:
        raise ValueError("not a ratio")
    if len(value) == 1:
        return Cell(ratio=ratio)
    children = tuple(_cell(child) for child in value[2:])
    return Cell(ratio=ratio, direction="rows" if value[1] == "r" else "columns", children=children)
