"""Pages as styled text, a line at a time: only what is on the screen is ever drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.layout.controls import UIContent, UIControl

from bottlemux.palette.pages import BusyPage, ListPage, TextPage
from bottlemux.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from bottlemux.palette.pages import Page
    from bottlemux.palette.previews import Preview
    from bottlemux.palette.rows import Shown

_TITLE_WIDTH = 30
_AIRY_ROWS = 6
_BUSY_MARKS = "|/-\\"


def draw_row(shown: Shown, *, selected: bool, width: int) -> StyleAndTextTuples:
    """Return one line of a list, at least ``width`` wide when it is ``selected``."""
    row = shown.row
    style = "class:disabled" if row.disabled else ""
    detail = f"({row.disabled})" if row.disabled else row.detail
    line: StyleAndTextTuples = [("", "> " if selected else "  ")]
    line += _title(row.title, () if row.disabled else shown.positions, style)
    line.append(("", " " * max(2, _TITLE_WIDTH - len(row.title))))
    line.append((f"class:{row.mark}" if row.mark and not row.disabled else "class:detail", printable(detail)))
    if selected:
        line.append(("", " " * width))
        return [(f"{fragment[0]} class:selected", fragment[1]) for fragment in line]
    return line


def _title(title: str, positions: tuple[int, ...], style: str) -> StyleAndTextTuples:
    line: StyleAndTextTuples = []
    done = 0
    for position in positions:
        line += [(style, title[done:position]), (f"{style} class:hit", title[position])]
        done = position + 1
    return [*line, (style, title[done:])]


def text_lines(text: str) -> list[str]:
    """Return ``text``, whoever wrote it, as lines that are safe to show."""
    return [printable(line.expandtabs(8)) for line in text.split("\n")]


def wrapped(lines: list[str], width: int) -> list[str]:
    """Break lines that are too long, between words where possible."""
    import textwrap

    return [part for line in lines for part in textwrap.wrap(line, max(1, width)) or [""]]


def cut(lines: list[str], width: int) -> list[str]:
    """Break lines that are too long as a terminal does."""
    width = max(1, width)
    return [line[start : start + width] for line in lines for start in range(0, max(1, len(line)), width)]


class PageControl(UIControl):
    """Shows the page on top: the part of it that there is room for."""

    def __init__(self, page: Callable[[], Page]) -> None:
        self._page = page
        self._top = 0
        self._frame = 0

    def create_content(self, width: int, height: int) -> UIContent:
        """Draw for a window of this size, in cells."""
        page = self._page()
        if isinstance(page, ListPage):
            lines = self._list(page, width, height)
        elif isinstance(page, TextPage):
            lines = self._text(page, width, height)
        else:
            lines = self._busy(page)
        return UIContent(get_line=lines.__getitem__, line_count=len(lines), show_cursor=False)

    def _list(self, page: ListPage, width: int, height: int) -> list[StyleAndTextTuples]:
        if not page.shown:
            return [[("class:detail", "  nothing matches")]]
        self._top = min(max(self._top, page.selected - height + 1, 0), page.selected)
        visible = page.shown[self._top : self._top + height]
        return [
            draw_row(shown, selected=index == page.selected, width=width)
            for index, shown in enumerate(visible, start=self._top)
        ]

    def _text(self, page: TextPage, width: int, height: int) -> list[StyleAndTextTuples]:
        lines = wrapped(text_lines(page.text), width)
        question: list[StyleAndTextTuples] = []
        if page.question:
            gap: list[StyleAndTextTuples] = [[("", "")]] if height >= _AIRY_ROWS else []
            question = [*gap, [("class:question", f"{page.question} [y/N]")]]
        room = max(0, height - len(question))
        page.top = min(page.top, max(0, len(lines) - room))
        body: list[StyleAndTextTuples] = [[("", line)] for line in lines[page.top : page.top + room]]
        return [*body, *question]

    def _busy(self, page: BusyPage) -> list[StyleAndTextTuples]:
        self._frame += 1
        return [[("", f"{_BUSY_MARKS[self._frame % len(_BUSY_MARKS)]} {page.title} ...")]]


class PreviewControl(UIControl):
    """Shows a preview: the beginning of its head, and as much of the end of its tail as there is room for."""

    def __init__(self, preview: Callable[[], Preview]) -> None:
        self._preview = preview

    def create_content(self, width: int, height: int) -> UIContent:
        """Draw for a window of this size, in cells."""
        preview = self._preview()
        lines = wrapped(text_lines(preview.head), width)[:height]
        tail = cut(text_lines(preview.tail), width) if preview.tail else []
        room = height - len(lines)
        lines += tail[-room:] if room > 0 else []
        fragments: list[StyleAndTextTuples] = [[("", line)] for line in lines]
        return UIContent(get_line=fragments.__getitem__, line_count=len(fragments), show_cursor=False)
