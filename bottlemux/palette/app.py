"""Opening the palette: the screen first, everything slow after it."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import TYPE_CHECKING

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer

from bottlemux.palette.facts import Gatherer
from bottlemux.palette.flow import Flow
from bottlemux.palette.keys import key_bindings
from bottlemux.palette.pages import BusyPage, ListPage
from bottlemux.palette.previews import Preview, Previews, preview_of
from bottlemux.palette.screen import STYLE, make_layout
from bottlemux.screens.background import Background

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

    from bottlemux.actions.model import Action, Seat, Subject
    from bottlemux.lifecycle.context import Context
    from bottlemux.palette.facts import Facts

# How long a lone Escape byte may be the beginning of an arrow key: short, but enough for most networks.
_ESCAPE_S = 0.1
_FRAME_S = 0.15
_SWITCH_S = 0.0005
_STATUS_EVERY_S = 3.0
_TYPING_S = 0.5


class Palette:
    """One run of the palette. ``go_argv`` says how to get to a bottle's window, and may take its time."""

    def __init__(
        self,
        context: Context,
        go_argv: Callable[[str | None], Sequence[str]],
        *,
        terminal_input: Input | None = None,
        terminal_output: Output | None = None,
        seat: Seat | None = None,
    ) -> None:
        self._background = Background(self._crashed)
        self.gatherer = Gatherer(context, self._background, self._know)
        self.flow = Flow(
            context,
            run=self._background.run,
            leave=self._leave,
            go_argv=go_argv,
            refresh=self.gatherer.ask_statuses,
            seat=seat,
        )
        self._previews = Previews(self._background, self._redraw)
        self._query = Buffer(multiline=False, on_text_changed=lambda _buffer: self._typed())
        self.app: Application[Sequence[str] | None] = Application(
            layout=make_layout(self.flow, self._query, self._preview, self._size),
            key_bindings=key_bindings(self.flow, self._query),
            style=STYLE,
            include_default_pygments_style=False,
            full_screen=True,
            input=terminal_input,
            output=terminal_output,
            after_render=self._first_painted,
            before_render=lambda _app: self._follow_page(),
        )
        self.app.ttimeoutlen = _ESCAPE_S
        # A key that turned the page may be followed by the next before anything is drawn.
        self.app.key_processor.after_key_press.add_handler(lambda _processor: self._keyed())
        self._keyed_at = 0.0
        self._painted = False

    def take(
        self, context: Context, go_argv: Callable[[str | None], Sequence[str]], seat: Seat | None
    ) -> None:
        """Take over this process's terminal: for a palette that was made before there was one."""
        from prompt_toolkit.input import create_input
        from prompt_toolkit.output import create_output

        self.flow.take(context, go_argv, seat)
        self.app.input, self.app.output = create_input(), create_output()
        self.app.renderer.output = self.app.output
        self.app.renderer.reset()

    def run(self, first: tuple[Action, Subject | None] | None = None) -> Sequence[str] | None:
        """Show the palette until it is left; return the command that shall take over, if any.

        With ``first`` it shows that action alone, and its subject is chosen if there is none.
        """
        self.loop = asyncio.new_event_loop()
        self._background.begin(self.loop)
        self.gatherer.read_names(self.flow.context)
        self.flow.know(self.gatherer.facts)
        if first is not None:
            self.flow.open_at(*first)
        try:
            return self.loop.run_until_complete(self.app.run_async())
        finally:
            self.loop.close()

    def _first_painted(self, _app: object) -> None:
        if not self._painted:
            self._painted = True
            gc.freeze()
            gc.enable()
            # A thread that computes shall not hold up the echo of a key.
            sys.setswitchinterval(_SWITCH_S)
            self.gatherer.ask_backends()
            self._tick_statuses()

    def _tick_statuses(self) -> None:
        # Asking about hundreds of bottles would hold up the echo of keys that are being typed.
        if self.loop.time() - self._keyed_at < _TYPING_S:
            self._background.later(_TYPING_S, self._tick_statuses)
            return
        self.gatherer.ask_statuses()
        self._background.later(_STATUS_EVERY_S, self._tick_statuses)

    def _know(self, facts: Facts) -> None:
        from bottlemux.palette.starting import skip_answered

        self.flow.know(facts)
        skip_answered(self.flow)
        self._redraw()

    def _typed(self) -> None:
        page = self.flow.page
        if isinstance(page, ListPage) and page.query != self._query.text:
            page.search(self._query.text)

    def _keyed(self) -> None:
        self._keyed_at = self.loop.time()
        self._follow_query()

    def _follow_page(self) -> None:
        """Show the text that belongs to the page on top, and keep a waiting page turning."""
        self._follow_query()
        if isinstance(self.flow.page, BusyPage):
            self._background.later(_FRAME_S, self._redraw)

    def _follow_query(self) -> None:
        page = self.flow.page
        if isinstance(page, ListPage) and self._query.text != page.query:
            self._query.text = page.query
            self._query.cursor_position = len(page.query)

    def _preview(self) -> Preview:
        if not self._painted:
            return Preview()
        page = self.flow.page
        wanted = preview_of(self.flow.context, page) if isinstance(page, ListPage) else None
        return self._previews.get(*wanted) if wanted is not None else Preview()

    def _size(self) -> tuple[int, int]:
        size = self.app.output.get_size()
        return size.columns, size.rows

    def _redraw(self) -> None:
        self.app.invalidate()

    def _leave(self, argv: Sequence[str] | None) -> None:
        if self.app.is_running and not self.app.is_done:
            self.app.exit(result=argv)

    def _crashed(self, error: BaseException) -> None:
        if self.app.is_running and not self.app.is_done:
            self.app.exit(exception=error)
