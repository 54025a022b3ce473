"""A layout as a little drawing: a box for each pane, with its role in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.session.geometry import Cell, boxes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bottlemux.session.layout import Layout, PaneLayout, WindowLayout

WIDTH, HEIGHT = 36, 11
_MAIN_SHARE = 2.0
_CORNERS = {
    "0011": "┌", "0110": "┐", "1001": "└", "1100": "┘", "1011": "├", "1110": "┤", "0111": "┬", "1101": "┴",
    "1111": "┼", "1010": "│", "0101": "─", "1000": "│", "0010": "│", "0100": "─", "0001": "─",
}  # fmt: skip
"""What joins at a point, by whether a line leads up, left, down and right of it."""


def draw(layout: Layout, rows: int) -> Iterator[str]:
    """Yield the lines of a drawing of every window, in ``rows`` lines where they can be that low."""
    count = len(layout.windows)
    between = 2 * count - 1 if count > 1 else 0
    height = min(HEIGHT, (rows - between) // count)
    for number, window in enumerate(layout.windows):
        if number:
            yield ""
        if count > 1:
            yield f"{window.window_name}{f' ({window.agent})' if window.agent else ''}"
        yield from draw_window(window, height=height)


def draw_window(window: WindowLayout, width: int = WIDTH, height: int = HEIGHT) -> Iterator[str]:
    """Yield the lines of a drawing of one window."""
    least = (tree := tree_of(window)).minimum()
    width, height = max(width, least[0] + 2), max(height, least[1] + 2)
    canvas = [[" "] * width for _ in range(height)]
    lines: set[tuple[int, int]] = set()
    for pane, (wide, high, x, y) in zip(window.panes, boxes(tree, width - 2, height - 2), strict=True):
        lines |= {(row, column) for row in (y, y + high + 1) for column in range(x, x + wide + 2)}
        lines |= {(row, column) for row in range(y, y + high + 2) for column in (x, x + wide + 1)}
        for column, letter in enumerate(_label(pane)[:wide], start=x + 1):
            canvas[y + (high + 1) // 2][column] = letter
    for row, column in lines:
        canvas[row][column] = _joint(lines, row, column)
    yield from ("".join(row) for row in canvas)


def tree_of(window: WindowLayout) -> Cell:
    """Return the window's arrangement; for one of tmux's named layouts, what it comes to."""
    count = len(window.panes)
    others = tuple(Cell() for _ in range(count - 1))
    if window.cells is not None or count == 1:
        return window.cells or Cell()
    if window.layout in {"even-horizontal", "even-vertical"}:
        return Cell(
            direction="columns" if window.layout == "even-horizontal" else "rows", children=(Cell(), *others)
        )
    if window.layout in {"main-horizontal", "main-vertical"}:
        across = window.layout == "main-vertical"
        rest = Cell(direction="rows" if across else "columns", children=others) if count > 2 else Cell()
        return Cell(direction="columns" if across else "rows", children=(Cell(ratio=_MAIN_SHARE), rest))
    return _tiled(count)


def _tiled(count: int) -> Cell:
    across = next(number for number in range(1, count + 1) if number * number >= count)
    rows = [min(across, count - start) for start in range(0, count, across)]
    made = [Cell(children=tuple(Cell() for _ in range(inside))) if inside > 1 else Cell() for inside in rows]
    return Cell(direction="rows", children=tuple(made)) if len(made) > 1 else made[0]


def _label(pane: PaneLayout) -> str:
    from bottlemux.text import printable

    text = pane.role or printable("; ".join(pane.shell_command))
    return f" {text}{'*' if pane.focus else ''}"


def _joint(lines: set[tuple[int, int]], row: int, column: int) -> str:
    around = ((row - 1, column), (row, column - 1), (row + 1, column), (row, column + 1))
    return _CORNERS.get("".join("1" if point in lines else "0" for point in around), " ")
