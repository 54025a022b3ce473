"""How the palette is laid out, at any size from 40 columns on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.filters import Condition
from prompt_toolkit.layout import ConditionalContainer, HSplit, Layout, VSplit, Window
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.styles import Style

from bottlemux.palette import choosing
from bottlemux.palette.drawing import PageControl, PreviewControl
from bottlemux.palette.pages import BusyPage, ListPage, MarkPage
from bottlemux.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prompt_toolkit.buffer import Buffer

    from bottlemux.palette.flow import Flow
    from bottlemux.palette.pages import TextPage
    from bottlemux.palette.previews import Preview

PREVIEW_FROM_COLUMNS = 90
PREVIEW_FROM_ROWS = 20

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
    flow: Flow, query: Buffer, preview: Callable[[], Preview], size: Callable[[], tuple[int, int]]
) -> Layout:
    """Return title, what is typed, the page, a preview where there is room for one, and hints.

    ``size`` is the terminal's columns and rows. The preview is beside a list, or below it on a narrow terminal.
    """
    in_list = Condition(lambda: isinstance(flow.page, ListPage))
    beside = Condition(lambda: size()[0] >= PREVIEW_FROM_COLUMNS)
    below = Condition(lambda: size()[0] < PREVIEW_FROM_COLUMNS and size()[1] >= PREVIEW_FROM_ROWS)
    typed = Window(BufferControl(query, input_processors=[BeforeInput("> ")]), height=1)
    page = Window(PageControl(lambda: flow.page))
    # A fixed share each: neither side's content has a say in it.
    right = Window(PreviewControl(preview), width=lambda: size()[0] // 2)
    under = Window(PreviewControl(preview), height=lambda: size()[1] * 2 // 5)
    across = Window(height=1, char="─", style="class:hints")
    body = HSplit([
        VSplit([page, ConditionalContainer(VSplit([_rule(), right]), filter=beside & in_list)]),
        ConditionalContainer(HSplit([across, under]), filter=below & in_list),
    ])  # fmt: skip
    title = _line("title", lambda: _title(flow))
    hints = _line("hints", lambda: _hints(flow, size()[0]))
    return Layout(HSplit([title, ConditionalContainer(typed, in_list), body, hints]), focused_element=typed)


def _rule() -> Window:
    return Window(width=1, char="│", style="class:hints")


def _line(style: str, text: Callable[[], str]) -> Window:
    return Window(FormattedTextControl(lambda: [(f"class:{style}", text())], show_cursor=False), height=1)


def _title(flow: Flow) -> str:
    page = flow.page
    where = f" / {page.title}" if page.title else ""
    if isinstance(page, ListPage) and page.prompt and not page.free:
        return printable(f"bottlemux{where}  task: {page.prompt}")
    if isinstance(page, MarkPage) and page.marked:
        return printable(f"bottlemux{where}  {len(page.chosen)} marked")
    counts = "" if where else _counts(flow)
    return printable(f"bottlemux{where}{counts}")


def _counts(flow: Flow) -> str:
    running = sum(flow.facts.alive.values())
    asked = len(flow.facts.proposals)
    parts = [f"{running} running" if running else "", f"{asked} to decide" if asked else ""]
    return "".join(f"  {part}" for part in parts if part)


def _hints(flow: Flow, columns: int) -> str:
    page = flow.page
    if isinstance(page, ListPage) and flow.facts.trouble:
        return printable(flow.facts.trouble)
    return _as_many(
        *_list_hints(flow, page) if isinstance(page, ListPage) else _text_hints(flow, page), columns=columns
    )


def _list_hints(flow: Flow, page: ListPage) -> Iterator[str]:
    """Yield what each key does here and now."""
    if page.chosen:
        yield "Enter go on" if page.free or isinstance(page, MarkPage) else "Enter choose"
    if (other := choosing.other(flow, page)) is not None:
        yield f"Tab {other.words}"
    if isinstance(page, MarkPage):
        yield "Ctrl-A all"
    yield from _leaving(flow)
    if page is flow.main:
        yield "'AGENT: TASK' starts it with a task"


def _text_hints(flow: Flow, page: TextPage | BusyPage) -> Iterator[str]:
    if isinstance(page, BusyPage):
        yield from _leaving(flow) if page.can_leave else ["please wait"]
        return
    last = len(flow.pages) == 1
    if page.question:
        yield "y shows more, at the end it is yes" if page.unseen else "y yes"
        yield "n/Esc no"
    else:
        yield "Enter/Esc leave" if last else "Enter/Esc back"
    yield "Up/Down scroll"
    if not last:
        yield "Ctrl-C leave"


def _leaving(flow: Flow) -> Iterator[str]:
    if len(flow.pages) > 1:
        yield "Esc back"
        yield "Ctrl-C leave"
    else:
        yield "Esc leave"


def _as_many(*parts: str, columns: int) -> str:
    """Return as many hints as there is room for, the first ones first."""
    text = parts[0]
    for part in parts[1:]:
        if len(text) + 2 + len(part) < columns:
            text += f"  {part}"
    return text
