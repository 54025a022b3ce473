"""Text, whoever wrote it, as lines for a window of a certain width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence


def text_lines(text: str) -> list[str]:
    """Return ``text``, whoever wrote it, as lines that are safe to show."""
    return [printable(line.expandtabs(8)) for line in text.split("\n")]


def wrapped(lines: Sequence[str], width: int) -> list[str]:
    """Break lines that are too long, between words where possible."""
    import textwrap

    return [part for line in lines for part in textwrap.wrap(line, max(1, width)) or [""]]


def cut(lines: Sequence[str], width: int) -> list[str]:
    """Break lines that are too long as a terminal does."""
    width = max(1, width)
    return [line[start : start + width] for line in lines for start in range(0, max(1, len(line)), width)]


def fit(text: str, width: int) -> str:
    """Return ``text`` in exactly ``width`` cells: filled up, or cut with dots that say so."""
    from prompt_toolkit.utils import get_cwidth

    cells = get_cwidth(text)
    if cells <= width:
        return text + " " * (width - cells)
    dots = "..."[:width]
    kept, room = "", width - len(dots)
    for character in text:
        room -= get_cwidth(character)
        if room < 0:
            break
        kept += character
    return fit(kept + dots, width)


def fit_middle(text: str, width: int, tail: int) -> str:
    """Return ``text`` in exactly ``width`` cells; one too long keeps its last ``tail`` characters."""
    if len(text) <= width or width <= tail + 4:
        return fit(text, width)
    return fit(text[: -tail or None], width - tail) + text[-tail:]
