"""How the palette is laid out, at any size from 40 columns on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.filters import Condition
from prompt_toolkit.layout import ConditionalContainer, HSplit, Layout, VSplit, Window
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.styles import Style

from bottlemux.palette.drawing import PageControl, PreviewControl
from bottlemux.palette.pages import BusyPage, ListPage
from bottlemux.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.buffer import Buffer

    from bottlemux.palette.flow import Flow
    from bottlemux.palette.previews import Preview

PREVIEW_FROM_COLUMNS = 90

STYLE = Style.from_dict(
    {
        "title": "bold",
        "selected": "reverse",
        "hit": "bold underline",
        "disabled": "fg:ansibrightblack",
        "detail": "fg:ansibrightblack",
        "good": "fg:ansigreen",
        "warn": "fg:ansiyellow",
        "bad": "fg:ansired",
        "question": "bold",
        "hints": "fg:ansibrightblack",
    }
)


def make_layout(
    flow: Flow, query: Buffer, preview: Callable[[], Preview], columns: Callable[[], int]
) -> Layout:
    """Return title, what is typed, the page, a preview where there is room for one, and hints."""
    in_list = Condition(lambda: isinstance(flow.page, ListPage))
    wide = Condition(lambda: columns() >= PREVIEW_FROM_COLUMNS)
    typed = Window(BufferControl(query, input_processors=[BeforeInput("> ")]), height=1)
    page = Window(PageControl(lambda: flow.page))
    # Half each: neither side's content has a say in it.
    side = Window(PreviewControl(preview), width=lambda: columns() // 2)
    body = VSplit([page, ConditionalContainer(VSplit([_rule(), side]), filter=wide & in_list)])
    title = Window(FormattedTextControl(lambda: [("class:title", _title(flow))], show_cursor=False), height=1)
    hints = Window(FormattedTextControl(lambda: [("class:hints", _hints(flow))], show_cursor=False), height=1)
    return Layout(HSplit([title, ConditionalContainer(typed, in_list), body, hints]), focused_element=typed)


def _rule() -> Window:
    return Window(width=1, char="│", style="class:hints")


def _title(flow: Flow) -> str:
    page = flow.page
    where = f" / {page.title}" if page.title else ""
    if isinstance(page, ListPage) and page.prompt:
        return printable(f"bottlemux{where}  task: {page.prompt}")
    return printable(f"bottlemux{where}")


def _hints(flow: Flow) -> str:
    page = flow.page
    if isinstance(page, BusyPage):
        return "" if page.can_leave else "please wait"
    if isinstance(page, ListPage):
        if flow.facts.trouble:
            return printable(flow.facts.trouble)
        if len(flow.pages) == 1:
            return "Enter choose  Tab more  Esc leave  'agent: task' gives a first task"
        return "Enter choose  Esc back  Ctrl-C leave"
    return "y yes  n no  Up/Down scroll" if page.question else "Enter/Esc back  Up/Down scroll  Ctrl-C leave"
