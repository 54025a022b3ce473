"""How the dashboard is laid out: list above details, or beside them where the terminal is wide."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from prompt_toolkit.filters import Condition
from prompt_toolkit.layout import (
    ConditionalContainer,
    Dimension,
    DynamicContainer,
    HSplit,
    Layout,
    VSplit,
    Window,
)
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.styles import Style

from bottlemux.dashboard.drawing import WELCOME, DetailsControl, ListControl, PageControl, clickable
from bottlemux.dashboard.keys import KEYS
from bottlemux.screens.lines import wrapped
from bottlemux.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from bottlemux.dashboard.desk import Desk

SIDE_BY_SIDE_FROM = 150
_NOTICE_LINES = 4

# Colour is never alone: every state has a mark and a word, what is selected an arrow.
STYLE = Style.from_dict(
    {
        "title": "bold",
        "heading": "bold",
        "selected": "reverse",
        "waiting": "bold fg:ansiyellow",
        "broken": "bold fg:ansimagenta",
        "working": "fg:ansicyan",
        "added": "bold",
        "taken": "",
        "hint": "underline",
        "rule": "fg:ansibrightblack",
        "question": "bold",
        "error": "bold fg:ansimagenta",
        "key": "bold",
    }
)


def make_layout(
    desk: Desk, line: Buffer, size: Callable[[], tuple[int, int]], trouble: Callable[[], str]
) -> Layout:
    """Return title, list and details or the page on top, notices, what is typed, and the keys."""
    body = _Body(desk, size)
    typed = Window(BufferControl(line, input_processors=[BeforeInput(lambda: _label(desk))]), height=1)
    typing = Condition(lambda: desk.line is not None)
    told = Window(_text(lambda: _notices(desk, size()[0])), dont_extend_height=True)
    asked = Window(_text(lambda: _question(desk, size()[0])), dont_extend_height=True)
    rows = [
        _line(lambda: _title(desk, trouble(), size()[0])),
        DynamicContainer(body.container),
        ConditionalContainer(told, Condition(lambda: desk.notices.latest is not None)),
        ConditionalContainer(asked, Condition(lambda: bool(desk.line and desk.line.question))),
        ConditionalContainer(typed, typing),
        ConditionalContainer(_line(lambda: _footer(desk, size()[0])), ~typing),
    ]
    return Layout(HSplit(rows), focused_element=typed)


class _Body:
    """The middle of the screen, by what there is to show and the room for it."""

    def __init__(self, desk: Desk, size: Callable[[], tuple[int, int]]) -> None:
        self._desk, self._size = desk, size
        listed = Window(ListControl(desk), height=self._list_height)
        beside = Window(ListControl(desk), width=lambda: self._size()[0] * 3 // 5)
        details = Window(DetailsControl(desk))
        self._page = Window(PageControl(desk))
        self._empty = Window(_text(lambda: [("", "\n".join(wrapped(WELCOME.split("\n"), size()[0])))]))
        self._above = HSplit([listed, Window(height=1, char="-", style="class:rule"), details])
        self._beside = VSplit([beside, Window(width=1, char="|", style="class:rule"), details])

    def container(self) -> Window | HSplit | VSplit:
        if self._desk.page is not None:
            return self._page
        if not self._desk.board.rows:
            return self._empty
        return self._beside if self._size()[0] >= SIDE_BY_SIDE_FROM else self._above

    def _list_height(self) -> Dimension:
        """As many lines as there are rows, up to half the screen, so that the details have room too."""
        rows = max(1, len(self._desk.board.shown)) + 1
        return Dimension.exact(max(2, min(rows, self._size()[1] * 2 // 5)))


def _text(text: Callable[[], StyleAndTextTuples]) -> FormattedTextControl:
    return FormattedTextControl(text, show_cursor=False)


def _line(text: Callable[[], StyleAndTextTuples]) -> Window:
    return Window(_text(text), height=1)


def _label(desk: Desk) -> str:
    return desk.line.label if desk.line is not None else ""


def _title(desk: Desk, trouble: str, width: int) -> StyleAndTextTuples:
    board = desk.board
    parts = [f"bottlemux  {_counted(len(board.rows), 'bottle')}"]
    if board.waiting:
        parts.append(f"{len(board.waiting)} need you" if len(board.waiting) > 1 else "1 needs you")
    if asks := sum(len(row.asks) for row in board.rows):
        parts.append(_counted(asks, "request"))
    if board.query:
        parts.append(f"filter: {printable(board.query)}")
    if trouble:
        parts.append(printable(trouble))
    return [("class:title", _whole_parts(parts, ", ", width))]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _whole_parts(parts: list[str], separator: str, width: int) -> str:
    """Join as many parts as there is room for."""
    text = parts[0]
    for part in parts[1:]:
        if len(text) + len(separator) + len(part) > width:
            break
        text += separator + part
    return text[:width]


def _question(desk: Desk, width: int) -> StyleAndTextTuples:
    return (
        [("class:question", "\n".join(wrapped([desk.line.question], width)))] if desk.line is not None else []
    )


def _notices(desk: Desk, width: int) -> StyleAndTextTuples:
    latest = desk.notices.latest
    if latest is None:
        return []
    kind, text = latest
    lines = wrapped([printable(text) + ("" if kind == "busy" else "  [Esc]")], width)
    if len(lines) > _NOTICE_LINES:
        lines = [*lines[: _NOTICE_LINES - 1], "[... m shows all of it]"]
    return [(f"class:{kind}", "\n".join(lines))]


def _footer(desk: Desk, width: int) -> StyleAndTextTuples:
    if desk.page is not None:
        yes = "y yes" if desk.page.seen else "y more"
        return [("", f"{yes}  n no  Up Down" if desk.page.question else "Esc back  Up Down")]
    fragments: StyleAndTextTuples = []
    used = 0
    if desk.board.query:
        fragments += [
            clickable("Esc", "class:key", desk.back),
            clickable(" clear filter", "", desk.back),
            ("", "  "),
        ]
        used = sum(len(fragment[1]) for fragment in fragments)
    for key in KEYS:
        if key.word == "leave" and not desk.can_leave:
            continue
        text = f"{key.name} {key.word}"
        if used + len(text) > width:
            break
        fragments.append(clickable(key.name, "class:key", partial(key.act, desk)))
        fragments.append(clickable(f" {key.word}", "", partial(key.act, desk)))
        fragments.append(("", "  "))
        used += len(text) + 2
    return fragments
