"""The dashboard on a terminal: it draws what changed and nothing else, and never waits for anything slow."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from prompt_toolkit.application import Application, in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.output import ColorDepth

from bottlemux.dashboard.columns import Table
from bottlemux.dashboard.desk import Desk
from bottlemux.dashboard.details import read_details
from bottlemux.dashboard.facts import Watch
from bottlemux.dashboard.keys import key_bindings
from bottlemux.dashboard.places import TerminalPlaces, TmuxPlaces
from bottlemux.dashboard.screen import STYLE, make_layout
from bottlemux.manifest.config import load_config
from bottlemux.screens.background import Background
from bottlemux.session.naming import Naming

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

    from bottlemux.dashboard.board import Row
    from bottlemux.dashboard.details import Details
    from bottlemux.lifecycle.context import Context

# How long a lone Escape byte may be the beginning of an arrow key: short, but enough for most networks.
_ESCAPE_S = 0.1
# Rows are sorted anew only when no hand was at keys or mouse for so long.
_SETTLED_S = 3.0


def _color_depth(context: Context) -> ColorDepth | None:
    """Return no colours for terminals that have none; what is left to the library knows ``NO_COLOR``."""
    return ColorDepth.DEPTH_1_BIT if context.environ.get("TERM", "").startswith("vt") else None


def _marks(context: Context) -> Callable[[str], str]:
    marks = load_config(context.paths).workspace.marks
    return Naming(marks={str(state): mark for state, mark in marks.items()}).mark


class Dashboard:
    """One run of the dashboard. ``resident`` is the workspace's own window: it stays until it is killed.

    ``inside`` says that we run in a pane of the workspace's tmux server.
    """

    def __init__(
        self,
        context: Context,
        *,
        resident: bool = False,
        inside: bool = False,
        terminal_input: Input | None = None,
        terminal_output: Output | None = None,
    ) -> None:
        self._context = context
        self.loop = asyncio.new_event_loop()
        background = Background(self._crashed)
        background.begin(self.loop)
        self._background = background
        places = TmuxPlaces(context, self._size) if inside else TerminalPlaces(context, self._lend)
        self._watch = Watch(context, background, self._know, publishing=resident)
        self.desk = Desk(
            context,
            run=background.run,
            places=places,
            leave=None if resident else self._exit,
            mark=_marks(context),
        )
        self._line = Buffer(multiline=False, on_text_changed=lambda _buffer: self._typed())
        self.app: Application[None] = Application(
            layout=make_layout(self.desk, self._line, self._size, lambda: self._watch.trouble),
            key_bindings=key_bindings(self.desk, self._line),
            style=STYLE,
            include_default_pygments_style=False,
            full_screen=True,
            mouse_support=True,
            color_depth=_color_depth(context),
            input=terminal_input,
            output=terminal_output,
            before_render=lambda _app: self._follow(),
        )
        self.app.ttimeoutlen = _ESCAPE_S
        self.app.key_processor.after_key_press.add_handler(lambda _processor: self._touched())
        self._last_touch = 0.0
        self._lent = False
        self._drawn: object = None
        self._details_of: object = None
        self._reading_details = False
        self._shown_line: object = None

    def run(self) -> None:
        """Show the dashboard until it is left."""
        self._watch.begin()
        self.loop.call_soon(self._tick)
        try:
            self.loop.run_until_complete(self.app.run_async())
        finally:
            self._watch.end()
            self.loop.close()

    def _know(self, rows: Sequence[Row]) -> None:
        self.desk.board.know(rows, settled=time.monotonic() - self._last_touch > _SETTLED_S)
        self._redraw_if_changed()

    def _tick(self) -> None:
        """Once a second: ages go on, and what takes too long is said."""
        self._background.later(1.0, self._tick)
        self._redraw_if_changed()

    def _redraw_if_changed(self) -> None:
        """Draw only what looks different: facts that come out as the same cells are the same."""
        board = self.desk.board
        table = Table(board.rows, self._size()[0], self.desk.mark)
        rows = [(row.slug, table.cells(row)) for row in board.rows]
        drawn = (rows, self._watch.trouble, list(self.desk.notices.busy), self.desk.details)
        if drawn != self._drawn:
            self._drawn = drawn
            self.app.invalidate()
        self._ask_details()

    def _touched(self) -> None:
        self._last_touch = time.monotonic()
        self._follow()

    def _follow(self) -> None:
        """Have what is typed belong to the line on the screen, and the details to the selected row."""
        line = self.desk.line
        if line is not self._shown_line:
            self._shown_line = line
            self._line.text = line.text if line is not None else ""
            self._line.cursor_position = len(self._line.text)
        self._ask_details()

    def _typed(self) -> None:
        line = self.desk.line
        if line is not None and line is self._shown_line and line.changed is not None:
            line.changed(self._line.text)

    def _ask_details(self) -> None:
        board = self.desk.board
        row, proposal = board.current, board.proposal
        wanted = (row.news if row is not None else None, proposal)
        if row is None or self._reading_details or wanted == self._details_of:
            return
        self._details_of = wanted
        self._reading_details = True
        self._watch.sampler.preferred = row.slug
        self._background.run(lambda: read_details(self._context, row, proposal), self._got_details)

    def _got_details(self, details: Details) -> None:
        self._reading_details = False
        self.desk.details = details
        self._redraw_if_changed()

    def _size(self) -> tuple[int, int]:
        size = self.app.output.get_size()
        return size.columns, size.rows

    def _lend(self, use: Callable[[], object]) -> None:
        """Give the terminal to ``use``, called from a background thread, and wait until it is given back."""

        async def lent() -> None:
            self._lent = True
            try:
                async with in_terminal():
                    await self.loop.run_in_executor(None, use)
            finally:
                self._lent = False

        asyncio.run_coroutine_threadsafe(lent(), self.loop).result()

    def _exit(self) -> None:
        # What is pressed to interrupt who has the terminal interrupts us as well.
        if not self._lent and self.app.is_running and not self.app.is_done:
            self.app.exit()

    def _crashed(self, error: BaseException) -> None:
        if self.app.is_running and not self.app.is_done:
            self.app.exit(exception=error)
