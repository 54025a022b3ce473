"""The list, the details and the pages as styled text: only what there is room for is ever drawn."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prompt_toolkit.layout.controls import UIContent, UIControl
from prompt_toolkit.mouse_events import MouseEventType

from bottlemux.dashboard.columns import Table
from bottlemux.screens.lines import cut, wrapped
from bottlemux.text import age

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.key_binding.key_bindings import NotImplementedOrNone
    from prompt_toolkit.mouse_events import MouseEvent

    from bottlemux.dashboard.board import Row
    from bottlemux.dashboard.desk import Desk
    from bottlemux.dashboard.pages import TextPage

_DOUBLE_CLICK_S = 0.5
_WHEEL_LINES = 3
_ENDED = "It asked before it ended and waits no more: what you decide counts when R brings it back."
_STYLES = {"+": "class:added", "-": "class:taken"}

WELCOME = """No bottle yet.

An agent works in a bottle, where it reaches nothing but what you allowed, and each bottle has a window of its own.
This screen shows them all: how they are doing, what they use, and what they ask you for.

  n  choose an agent and start it
  ?  all keys"""


def plain(text: str, style: str = "") -> StyleAndTextTuples:
    """Return ``text`` as a line of one style."""
    return [(style, text)]


def content(lines: Sequence[StyleAndTextTuples]) -> UIContent:
    """Return ``lines`` for a window."""
    return UIContent(get_line=lines.__getitem__, line_count=len(lines), show_cursor=False)


class ListControl(UIControl):
    """The heading and as many rows as there is room for. A click selects, a second one goes there."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._top = 0
        self._drawn: list[str] = []
        self._clicked = ("", 0.0)

    def create_content(self, width: int, height: int) -> UIContent:
        """Draw for a window of this size, in cells."""
        board = self._desk.board
        shown = board.shown
        room = max(1, height - 1)
        if len(shown) > room:
            room = max(1, room - 1)
        self._top = min(max(self._top, board.index - room + 1, 0), board.index)
        self._top = max(0, min(self._top, len(shown) - room))
        visible = shown[self._top : self._top + room]
        self._drawn = [row.slug for row in visible]
        table = Table(shown, width - 2, self._desk.mark)
        lines: list[StyleAndTextTuples] = [plain(f"  {table.heading()}", "class:heading")]
        lines += [_row(table, row, selected=row.slug == board.selected) for row in visible]
        hidden = {"above": self._top, "below": len(shown) - self._top - len(visible)}
        if more := ", ".join(f"{count} more {where}" for where, count in hidden.items() if count):
            lines.append(plain(f"  -- {more} --", "class:rule"))
        if not shown:
            lines.append(
                plain(f"  no bottle matches {board.query!r}: Esc shows all {len(board.rows)}", "class:hint")
            )
        return content(lines)

    def mouse_handler(self, mouse_event: MouseEvent) -> NotImplementedOrNone:
        """Select and go by clicks, move by the wheel."""
        if mouse_event.event_type == MouseEventType.SCROLL_UP:
            self._desk.board.move(-1)
        elif mouse_event.event_type == MouseEventType.SCROLL_DOWN:
            self._desk.board.move(1)
        elif mouse_event.event_type == MouseEventType.MOUSE_UP:
            self._click(mouse_event.position.y - 1)
        else:
            return NotImplemented
        return None

    def _click(self, line: int) -> None:
        if not 0 <= line < len(self._drawn):
            return
        slug, now = self._drawn[line], time.monotonic()
        before, when = self._clicked
        self._clicked = (slug, now)
        if slug != self._desk.board.selected:
            self._desk.board.select(slug)
        elif slug == before and now - when < _DOUBLE_CLICK_S:
            self._clicked = ("", 0.0)
            self._desk.go()


def _row(table: Table, row: Row, *, selected: bool) -> StyleAndTextTuples:
    cells = table.cells(row)
    if selected:
        # Reversed, every colour would be a patch of its own: the bar is of one piece.
        return plain(f"> {''.join(cells)}", f"class:selected{' bold' if row.needs_me else ''}")
    style = f"class:{row.status.state}"
    urgent = style if row.needs_me else ""
    return [("", "  "), (style, cells[0]), ("", "".join(cells[1:-1])), (urgent, cells[-1])]


class DetailsControl(UIControl):
    """What is known of the selected bottle, and below it as much of the end of its agent's screen as fits."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def create_content(self, width: int, height: int) -> UIContent:
        """Draw for a window of this size, in cells; note whether it shows all of what is asked for."""
        desk = self._desk
        details = desk.present_details
        asked = _diff(details.asked, width)
        row = desk.board.current
        lines: list[StyleAndTextTuples] = []
        if asked and row is not None and row.status.ended:
            lines += [plain(line, "class:hint") for line in wrapped([_ENDED], width)]
        whole = 0 < len(asked) <= height - len(lines)
        desk.note_asked(details.asked if whole else ())
        lines += asked[: max(0, height - len(lines))]
        if asked and not whole:
            lines[-1:] = [plain("[... a shows all of it]"[:width], "class:hint")]
        asking = len(lines)
        if asked:
            lines.append(plain(""))
        if row is not None:
            lines.append(
                plain(f"{row.slug}: {row.status.state} for {age(row.status.since)}"[:width], "class:heading")
            )
        lines += map(plain, wrapped(details.facts, width))
        room = height - len(lines) - 1
        if details.screen and room > 1:
            lines.append(plain(f"-- the agent's screen {'-' * width}"[:width], "class:rule"))
            lines += map(plain, cut(details.screen, width)[-room:])
        if len(lines) > height > asking:
            lines[height - 1] = plain("[... i shows all of it]"[:width], "class:hint")
        return content(lines[:height])


def _diff(lines: Sequence[str], width: int) -> list[StyleAndTextTuples]:
    return [plain(part, _STYLES.get(line[:1], "")) for line in lines for part in wrapped([line], width)]


class PageControl(UIControl):
    """The page on top, with its question below."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def create_content(self, width: int, height: int) -> UIContent:
        """Draw for a window of this size, in cells; note whether the page's end was seen."""
        page = self._desk.page
        if page is None:
            return content([])
        lines = _diff(page.lines, width)
        room = max(1, height - 3)
        page.top = min(page.top, max(0, len(lines) - room))
        page.seen = page.seen or page.top + room >= len(lines)
        left = len(lines) - page.top - room
        heading: StyleAndTextTuples = [("class:heading", page.title)]
        more = f"({left} more lines: {_more_keys(page)})" if left > 0 else ""
        question = f"{page.question} [y/N]" if page.question and page.seen else more
        asked: StyleAndTextTuples = [("class:question", question)]
        return content([heading, *lines[page.top : page.top + room], plain(""), asked])

    def mouse_handler(self, mouse_event: MouseEvent) -> NotImplementedOrNone:
        """Scroll by the wheel."""
        page = self._desk.page
        steps = {MouseEventType.SCROLL_UP: -_WHEEL_LINES, MouseEventType.SCROLL_DOWN: _WHEEL_LINES}
        if page is None or mouse_event.event_type not in steps:
            return NotImplemented
        page.move(steps[mouse_event.event_type])
        return None


def _more_keys(page: TextPage) -> str:
    return "y shows them, and y again at the end is yes" if page.question else "Down, PageDown"


def clickable(
    text: str, style: str, act: Callable[[], None]
) -> tuple[str, str, Callable[[MouseEvent], object]]:
    """Return a fragment that does ``act`` when it is clicked."""

    def handle(mouse_event: MouseEvent) -> NotImplementedOrNone:
        if mouse_event.event_type != MouseEventType.MOUSE_UP:
            return NotImplemented
        act()
        return None

    return style, text, handle
