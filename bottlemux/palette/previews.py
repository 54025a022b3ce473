"""What the selected row would do or is doing, worked out in the background once the selection rests."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from bottlemux.errors import BottlemuxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bottlemux.lifecycle.context import Context
    from bottlemux.palette.pages import ListPage
    from bottlemux.palette.rows import Row
    from bottlemux.palette.starting import Choice
    from bottlemux.screens.background import Background

REST_S = 0.08
FRESH_S = 2.0
_PANE_LINES = 200
_MAX_RUNNING = 3
_MAX_KEPT = 200


class Preview(NamedTuple):
    """``head`` is text, shown from its beginning; ``tail`` is the end of a screen, shown in the room below it.

    ``drawing`` yields lines for that room instead, when it is told how many there is room for.
    """

    head: str = ""
    tail: str = ""
    drawing: Callable[[int], Iterable[str]] | None = None


class Previews:
    """Previews by key. One that is slow keeps no other from being made, up to a few at a time."""

    def __init__(self, background: Background, changed: Callable[[], None]) -> None:
        self._background = background
        self._changed = changed
        self._made: dict[str, tuple[float, Preview]] = {}
        self._running: set[str] = set()
        self._wanted = ""

    def get(self, key: str, make: Callable[[], Preview]) -> Preview:
        """Return the preview of ``key`` as it is known now, and have it made if there is none or it is old."""
        made = self._made.get(key)
        if key != self._wanted:
            self._wanted = key
            self._background.later(REST_S, lambda: self._start(key, make))
        elif made is not None and time.monotonic() - made[0] > FRESH_S:
            self._start(key, make)
        return made[1] if made is not None else Preview("...")

    def _start(self, key: str, make: Callable[[], Preview]) -> None:
        if key != self._wanted or key in self._running:
            return
        if len(self._running) >= _MAX_RUNNING:
            self._background.later(REST_S, lambda: self._start(key, make))
            return
        self._running.add(key)
        self._background.run(lambda: _or_message(make), lambda made: self._done(key, made))

    def _done(self, key: str, preview: Preview) -> None:
        self._running.discard(key)
        if len(self._made) >= _MAX_KEPT:
            self._made.clear()
        self._made[key] = (time.monotonic(), preview)
        self._changed()


def _or_message(make: Callable[[], Preview]) -> Preview:
    try:
        return make()
    except BottlemuxError as error:
        return Preview("\n".join([error.message, *error.also, "", error.advice]).rstrip())
    except OSError as error:
        return Preview(str(error))


def preview_of(context: Context, page: ListPage) -> tuple[str, Callable[[], Preview]] | None:
    """Return what is to be shown beside ``page``, by a key and how to make it; ``None`` for nothing.

    What is typed elsewhere or shown already is no reason to make it again: the key names all that it depends on.
    """
    from bottlemux.palette.starting import Choice, StepPage

    row = page.current
    if isinstance(page, StepPage):
        choice = page.with_current()
        return repr(choice), lambda: preflight(context, choice)
    row = page.about or row
    if row is None:
        return None
    match row.target:
        case "agent":
            chosen = Choice(row.name, page.prompt)
            return repr(chosen), lambda: preflight(context, chosen)
        case "bottle":
            return row.key, lambda: bottle_view(context, row.name)
        case "proposal":
            return row.key, lambda: proposal_view(context, row.name)
        case "layout":
            return row.key, lambda: layout_view(context, row.name)
        case _:
            return f"{row.key} {row.disabled}", lambda: action_view(row)


def preflight(context: Context, choice: Choice) -> Preview:
    """Return what a start would do."""
    from bottlemux.lifecycle.planning import plan_start

    lines: list[str] = []
    plan_start(context, choice.request()).print(lines.append)
    return Preview("".join(lines))


def bottle_view(context: Context, slug: str) -> Preview:
    """Return how a bottle is doing, and the end of what its agent shows."""
    from bottlemux.actions.report import summary

    status = summary(context, slug)
    window = context.workspace.find(slug)
    pane = window.pane("agent") if window is not None else None
    if pane is None:
        return Preview(status)
    return Preview(f"{status}\n\n", context.workspace.capture(pane.pane_id, _PANE_LINES))


def proposal_view(context: Context, identifier: str) -> Preview:
    """Return the whole request, and what approving it would change."""
    from bottlemux.approvals.finding import find
    from bottlemux.approvals.showing import asked

    return Preview("\n".join(asked(context.paths, find(context.paths, identifier))))


def layout_view(context: Context, name: str) -> Preview:
    """Return a small drawing of a layout's windows."""
    from bottlemux.palette.miniature import draw
    from bottlemux.session.layout_files import find_layout

    found = find_layout(name, context.paths, context.cwd)
    layout = found.load()
    head = [f"{name} ({found.origin})", *filter(None, [found.notice])]
    return Preview("\n".join(head), drawing=partial(draw, layout))


def action_view(row: Row) -> Preview:
    """Return what is known of an action."""
    return Preview(
        "\n\n".join(filter(None, [row.detail, f"Not now: {row.disabled}" if row.disabled else ""]))
    )
