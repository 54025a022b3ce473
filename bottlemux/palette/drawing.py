"""Pages as styled text, a line at a time: only what is on the screen is ever drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.layout.controls import UIContent, UIControl

from bottlemux.palette.pages import BusyPage, ListPage, MarkPage, TextPage
from bottlemux.screens.lines import cut, text_lines, wrapped
from bottlemux.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from bottlemux.palette.pages import Page
    from bottlemux.palette.previews import Preview
    from bottlemux.palette.rows import Row, Shown

_AIRY_ROWS = 6
_NOTHING = (
    "  nothing matches",
    "",
    "  Backspace takes letters back, Ctrl-U all of them.",
    "  An agent of yours: bottlemux init",
)
_DIFF_STYLES = {"+": "class:good", "-": "class:bad", "@": "class:detail"}
_BUSY_MARKS = "|/-\\"


def draw_row(
    shown: Shown, *, selected: bool, width: int, titles: int = 0, mark: str = ""
) -> StyleAndTextTuples:
    """Return one line of a list, at least ``width`` wide when it is ``selected``; ``mark`` stands before its title.

    The longest title of the list has ``titles`` letters.
    """
    row = shown.row
    style = "class:disabled" if row.disabled else ""
    detail = f"({row.disabled})" if row.disabled else row.detail
    line: StyleAndTextTuples = [("", f"{'>' if selected else ' '} {mark}")]
    line += _title(row.title, () if row.disabled else shown.positions, style)
    gap = max(2, min(titles + 2, width // 2) - len(row.title))
    line.append(("", " " * gap))
    detail = shortened(printable(detail), width - len(mark) - len(row.title) - gap - 2)
    line.append((f"class:{row.mark}" if row.mark and not row.disabled else "class:detail", detail))
    if selected:
        line.append(("", " " * width))
        # Reversed, every colour would be a patch of its own: the bar is of one piece.
        return [
            ("class:hit class:selected" if "class:hit" in fragment[0] else "class:selected", fragment[1])
            for fragment in line
        ]
    return line


def _mark(page: ListPage, row: Row) -> str:
    if not isinstance(page, MarkPage):
        return ""
    return "    " if row.disabled else "[x] " if row.key in page.marked else "[ ] "


def shortened(text: str, width: int) -> str:
    """Return ``text`` cut to ``width`` characters, with a mark where something is missing."""
    return text if len(text) <= width or width < 1 else f"{text[: width - 1]}…"


def _title(title: str, positions: tuple[int, ...], style: str) -> StyleAndTextTuples:
    line: StyleAndTextTuples = []
    done = 0
    for position in positions:
        line += [(style, title[done:position]), (f"{style} class:hit", title[position])]
        done = position + 1
    return [*line, (style, title[done:])]


def styled(text: str, width: int) -> list[StyleAndTextTuples]:
    """Return ``text``, whoever wrote it, as lines of at most ``width``; what reads like a diff in its colours."""
    is_diff = "\n@@ " in text
    return [
        [(_DIFF_STYLES.get(line[:1], "") if is_diff else "", part)]
        for line in text_lines(text)
        for part in wrapped([line], width)
    ]


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
            lines = _NOTHING if page.query else (f"  {page.empty}",)
            return [[("class:detail", line)] for line in lines[:height]]
        self._top = min(max(self._top, page.selected - height + 1, 0), page.selected)
        visible = page.shown[self._top : self._top + height]
        return [
            draw_row(
                shown,
                selected=index == page.selected,
                width=width,
                titles=page.widest,
                mark=_mark(page, shown.row),
            )
            for index, shown in enumerate(visible, start=self._top)
        ]

    def _text(self, page: TextPage, width: int, height: int) -> list[StyleAndTextTuples]:
        lines = styled(page.text, width)
        question: list[StyleAndTextTuples] = []
        if page.question:
            gap: list[StyleAndTextTuples] = [[("", "")]] if height >= _AIRY_ROWS else []
            question = [*gap, [("class:question", f"{page.question} [y/N]")]]
        room = max(0, height - len(question))
        page.top = min(page.top, max(0, len(lines) - room))
        body = lines[page.top : page.top + room]
        below = len(lines) - page.top - room
        hidden = below + 1 if below > 0 and room > 1 else max(0, below)
        page.unseen = hidden if page.unseen is None else min(page.unseen, hidden)
        if (below := len(lines) - page.top - room) > 0 and room > 1:
            body[-1] = [("class:hints", f"-- {below + 1} more lines: Down --")]
        return [*body, *question]

    def _busy(self, page: BusyPage) -> list[StyleAndTextTuples]:
        self._frame += 1
        return [[("", f"{_BUSY_MARKS[self._frame % len(_BUSY_MARKS)]} {page.title} ...")]]


def _below(preview: Preview, width: int, room: int) -> list[str]:
    if preview.drawing is not None:
        return cut(text_lines("\n".join(preview.drawing(room))), width)[:room]
    return cut(text_lines(preview.tail), width)[-room:] if preview.tail else []


class PreviewControl(UIControl):
    """Shows a preview: the beginning of its head, and as much of the end of its tail as there is room for."""

    def __init__(self, preview: Callable[[], Preview]) -> None:
        self._preview = preview

    def create_content(self, width: int, height: int) -> UIContent:
        """Draw for a window of this size, in cells."""
        preview = self._preview()
        fragments: list[StyleAndTextTuples] = styled(preview.head, width)[:height]
        room = height - len(fragments)
        if room > 0:
            below: list[StyleAndTextTuples] = [[("", line)] for line in _below(preview, width, room)]
            fragments.extend(below)
        return UIContent(get_line=fragments.__getitem__, line_count=len(fragments), show_cursor=False)
