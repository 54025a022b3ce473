"""Trees of ratios and tmux's layout strings: pure arithmetic, no tmux.

A saved layout keeps ratios, because a layout string is only good for one window size: tmux resizes a window
nobody looks at to the size the string names.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from bottlemux.errors import BottlemuxError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

type Direction = Literal["columns", "rows"]

_CELL = re.compile(r"(\d{1,5})x(\d{1,5}),(\d{1,5}),(\d{1,5})(?:,(\d+)(?![\dx]))?")
_LEAF = re.compile(r"\d+x\d+,\d+,\d+,(\d+)(?![\dx])")
_KINDS: dict[str, Direction] = {"h": "columns", "v": "rows"}
_DIRECTIONS: dict[str, Direction] = {"{": "columns", "[": "rows"}
_OPENING = {"columns": "{", "rows": "["}
_CLOSING = {"columns": "}", "rows": "]"}
_MAX_DEPTH = 32
_MAX_SIZE = 100_000
_SHOWN = 200


class LayoutError(BottlemuxError):
    """A layout string that tmux did not make, or a window too small for a layout."""

    topic = "layouts"


@dataclass(frozen=True)
class Cell:
    """A pane, or side by side (``columns``) or stacked (``rows``) cells.

    ``ratio`` is the cell's weight among its siblings, any positive number. Panes are numbered depth first.
    """

    ratio: float = 1.0
    direction: Direction = "columns"
    children: tuple[Cell, ...] = ()

    @property
    def pane_count(self) -> int:
        """How many panes the cell holds."""
        return sum(child.pane_count for child in self.children) if self.children else 1

    def minimum(self) -> tuple[int, int]:
        """Return the least width and height, in characters: one a pane, one a border."""
        if not self.children:
            return (1, 1)
        sizes = [child.minimum() for child in self.children]
        widths, heights = [width for width, _ in sizes], [height for _, height in sizes]
        borders = len(sizes) - 1
        if self.direction == "columns":
            return (sum(widths) + borders, max(heights))
        return (max(widths), sum(heights) + borders)


@dataclass(frozen=True)
class _Box:
    width: int
    height: int
    x: int = 0
    y: int = 0

    def text(self) -> str:
        return f"{self.width}x{self.height},{self.x},{self.y}"


def layout_string(tree: Cell, width: int, height: int) -> str:
    """Return what ``select-layout`` takes for a window of ``width`` x ``height`` characters.

    :class:`LayoutError` when the window is too small to hold every pane.
    """
    least = tree.minimum()
    if width < least[0] or height < least[1]:
        raise LayoutError(
            f"a window of {width}x{height} is too small for this layout ({least[0]}x{least[1]} needed)",
            hint="make the terminal larger, or choose a layout with fewer panes",
        )
    body = _render(tree, _Box(width, height), [0])
    return f"{checksum(body):04x},{body}"


def boxes(tree: Cell, width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Return width, height, x and y of each pane of ``tree`` in a window of this size, one character between two."""
    return _boxes(tree, _Box(width, height))


def _boxes(cell: Cell, box: _Box) -> list[tuple[int, int, int, int]]:
    if not cell.children:
        return [(box.width, box.height, box.x, box.y)]
    parts = zip(cell.children, _divide(cell, box), strict=True)
    return [pane for child, part in parts for pane in _boxes(child, part)]


def checksum(body: str) -> int:
    """Return tmux's 16 bit checksum of a layout string without its checksum."""
    total = 0
    for byte in body.encode("ascii"):
        total = ((total >> 1) | ((total & 1) << 15)) + byte & 0xFFFF
    return total


def parse_layout_string(text: str) -> Cell:
    """Return the tree of a layout string, with sizes as ratios; :class:`LayoutError` if it is malformed.

    tmux 3.8 reports JSON instead, though it still takes the older form.
    """
    if text.startswith("{"):
        return replace(_from_json(text), ratio=1.0)
    sum_text, comma, body = text.partition(",")
    if not comma or not body.isascii() or not re.fullmatch(r"[0-9a-f]{4}", sum_text):
        raise LayoutError(f"{text!r} is not a tmux layout string")
    if int(sum_text, 16) != checksum(body):
        raise LayoutError(f"the checksum of the layout string {text!r} is wrong")
    parser = _Parser(body)
    tree = parser.cell("columns", 0)
    if parser.position != len(body):
        raise LayoutError(f"the layout string {text!r} has text after its end")
    return replace(tree, ratio=1.0)


def size_of(text: str) -> tuple[int, int]:
    """Return the columns and rows of the window that a layout string is of."""
    if text.startswith("{"):
        found = re.match(r'\{"V":\d+,"L":\{"t":"\w","w":(\d+),"h":(\d+),', text)
    else:
        found = re.match(r"[0-9a-f]{4},(\d+)x(\d+),", text)
    if found is None:
        raise LayoutError(f"{text[:_SHOWN]!r} is not a tmux layout")
    return int(found[1]), int(found[2])


def panes_in_order(text: str) -> list[str]:
    """Return the ids of the panes in what tmux reports as a window's layout, in the order of the layout."""
    if text.startswith("{"):
        return re.findall(r'"I":"(%\d+)"', text)
    return [f"%{number}" for number in _LEAF.findall(text)]


def share(total: int, weights: Sequence[float], minimums: Sequence[int]) -> list[int]:
    """Divide ``total`` by ``weights``, none less than its minimum; the parts add up to ``total`` exactly."""
    exact_weights = [Fraction(weight) for weight in weights]
    pinned: set[int] = set()
    while True:
        free = [index for index in range(len(weights)) if index not in pinned]
        left = total - sum(minimums[index] for index in pinned)
        whole = sum(exact_weights[index] for index in free)
        parts = {index: left * exact_weights[index] / whole for index in free}
        short = {index for index, part in parts.items() if part < minimums[index]}
        if not short:
            break
        pinned |= short
    sizes = [int(parts[index]) if index in parts else minimums[index] for index in range(len(weights))]
    by_remainder = sorted(free, key=lambda index: (sizes[index] - parts[index], index))
    for index in by_remainder[: total - sum(sizes)]:
        sizes[index] += 1
    return sizes


def _render(cell: Cell, box: _Box, counter: list[int]) -> str:
    if not cell.children:
        number = counter[0]
        counter[0] += 1
        return f"{box.text()},{number}"
    inner = ",".join(
        _render(child, part, counter) for child, part in zip(cell.children, _divide(cell, box), strict=True)
    )
    return f"{box.text()}{_OPENING[cell.direction]}{inner}{_CLOSING[cell.direction]}"


def _divide(cell: Cell, box: _Box) -> list[_Box]:
    borders = len(cell.children) - 1
    weights = [child.ratio for child in cell.children]
    across = cell.direction == "columns"
    minimums = [child.minimum()[0 if across else 1] for child in cell.children]
    boxes: list[_Box] = []
    offset = 0
    for size in share((box.width if across else box.height) - borders, weights, minimums):
        boxes.append(
            replace(box, width=size, x=box.x + offset)
            if across
            else replace(box, height=size, y=box.y + offset)
        )
        offset += size + 1
    return boxes


def _from_json(text: str) -> Cell:
    try:
        return _from_value(json.loads(text)["L"], "columns", 0)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LayoutError(f"{text[:_SHOWN]!r} is not a tmux layout") from error


def _from_value(value: Mapping[str, Any], parent: Direction, depth: int) -> Cell:
    ratio = float(value["w" if parent == "columns" else "h"])
    if depth > _MAX_DEPTH or not 0 < ratio <= _MAX_SIZE:
        raise ValueError("not a cell")
    kind = value["t"]
    if kind == "p":
        return Cell(ratio=ratio)
    direction = _KINDS[kind]
    children = tuple(_from_value(child, direction, depth + 1) for child in value["c"])
    return Cell(ratio=ratio, direction=direction, children=children)


class _Parser:
    def __init__(self, body: str) -> None:
        self.body = body
        self.position = 0

    def cell(self, parent: Direction, depth: int) -> Cell:
        found = _CELL.match(self.body, self.position)
        if found is None or depth > _MAX_DEPTH:
            raise LayoutError(f"the layout string is malformed at character {self.position}")
        self.position = found.end()
        ratio = float(found[1] if parent == "columns" else found[2])
        direction = _DIRECTIONS.get(self._next())
        if direction is None:
            return Cell(ratio=ratio)
        return Cell(ratio=ratio, direction=direction, children=self._children(direction, depth))

    def _children(self, direction: Direction, depth: int) -> tuple[Cell, ...]:
        children: list[Cell] = []
        while not children or self._next() == ",":
            self.position += 1
            children.append(self.cell(direction, depth + 1))
        if self._next() != _CLOSING[direction]:
            raise LayoutError(f"the layout string is malformed at character {self.position}")
        self.position += 1
        return tuple(children)

    def _next(self) -> str:
        return self.body[self.position : self.position + 1]
