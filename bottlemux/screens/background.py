"""Work beside the screen: in daemon threads, so that nothing slow ever keeps a screen from being left."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable


class Background:
    """Runs functions in threads and hands what they return to the screen's own thread.

    The screen's state is changed there only, so nothing needs a lock. ``crashed`` gets, in that thread, what a
    function raised. Nothing runs before :meth:`begin`.
    """

    def __init__(self, crashed: Callable[[BaseException], None]) -> None:
        self._crashed = crashed
        self._loop: AbstractEventLoop

    def begin(self, loop: AbstractEventLoop) -> None:
        """Hand results over to ``loop`` from now on."""
        self._loop = loop

    def run[T](self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Start ``work``; ``done`` gets its result."""
        threading.Thread(target=self._work, args=(work, done), daemon=True).start()

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Call ``act`` in the screen's thread after ``seconds``."""
        self._loop.call_later(seconds, act)

    def call[T](self, function: Callable[[T], None], argument: T) -> None:
        """From any thread: have ``function`` called in the screen's thread, if the screen is still there."""
        try:
            self._loop.call_soon_threadsafe(function, argument)
        except RuntimeError:
            return  # the screen was left in the meantime

    def _work[T](self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised again where the screen can be left first
            self.call(self._crashed, error)
        else:
            self.call(done, result)
