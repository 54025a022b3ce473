"""Text, whoever wrote it, as lines for a window of a certain width."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bottlemux.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


_COLUMN_GAP = re.compile(r"^ +(?:- )?|^- | {2,}")
_MIN_FOR_COLUMNS = 20


def text_lines(text: str) -> list[str]:
    """Return ``text``, whoever wrote it, as lines that are safe to show."""
    return [printable(line.expandtabs(8)) for line in text.split("\n")]


def wrapped(lines: Sequence[str], width: int) -> list[str]:
    """Break lines that take more than ``width`` cells, between words where possible. Nothing is lost.

    What goes on below is set in to the last of the line's columns, if that leaves room.
    """
    return [part for line in lines for part in _broken(line, max(1, width))]


def _broken(line: str, width: int) -> Iterator[str]:
    indent = " " * _hanging(line, width)
    while (end := _fitting(line, width)) < len(line):
        blank = line.rfind(" ", 0, end + 1)
        at = blank if line[: max(blank, 0)].strip() else end
        yield line[:at]
        line = indent + line[at:].removeprefix(" ")
    yield line


def _hanging(line: str, width: int) -> int:
    if width < _MIN_FOR_COLUMNS:
        return 0
    return max((gap.end() for gap in _COLUMN_GAP.finditer(line) if gap.end() <= width // 2), default=0)


def _fitting(text: str, width: int) -> int:
    """Return how many characters of ``text`` fit into ``width`` cells, at least one."""
    if text.isascii():
        return max(1, width)
    from prompt_toolkit.utils import get_cwidth

    for number, character in enumerate(text):
        width -= get_cwidth(character)
        if width < 0:
            return max(1, number)
    return max(1, len(text))


def cut(lines: Sequence[str], width: int) -> list[str]:
    """Break lines that take more than ``width`` cells as a terminal does."""
    return [part for line in lines for part in _chopped(line, max(1, width))]


def _chopped(line: str, width: int) -> Iterator[str]:
    while (end := _fitting(line, width)) < len(line):
        yield line[:end]
        line = line[end:]
    yield line


def fit(text: str, width: int) -> str:
    """Return ``text`` in exactly ``width`` cells: filled up, or cut with dots that say so."""
    from prompt_toolkit.utils import get_cwidth

    cells = get_cwidth(text)
    if cells <= width:
        return text + " " * (width - cells)
    dots = "..."[:width]
    room = width - len(dots)
    kept = text[: _fitting(text, room)] if room > 0 else ""
    if get_cwidth(kept) > room:  # not even one wide character fits
        kept = ""
    return fit(kept + dots, width)


def fit_middle(text: str, width: int, tail: int) -> str:
    """Return ``text`` in exactly ``width`` cells; one too long keeps its last ``tail`` characters."""
    if len(text) <= width or width <= tail + 3:
        return fit(text, width)
    return fit(fit(text[: -tail or None], width - tail) + text[-tail:], width)
