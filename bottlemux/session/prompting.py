"""Submitting a prompt to a program that is already running in a pane."""

from __future__ import annotations

import contextlib
import secrets
import time
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.session.server import TmuxServer

SETTLE_TIMEOUT_S = 5.0
SUBMIT_TIMEOUT_S = 3.0

_ENTER_ATTEMPTS = 3
_POLL_S = 0.05
_QUIET_POLLS = 3


def send_prompt(
    server: TmuxServer, pane_id: str, text: str, *, submitted: Callable[[str], bool] | None = None
) -> None:
    """Paste ``text`` into the pane, press Enter once it has arrived, and make sure that it was taken.

    It was taken when the screen differs from the one before Enter and ``submitted``, if given, accepts the
    text on it. Enter is repeated, since programs drop one that comes too soon after a paste.
    :class:`BottlemuxError` if nothing happens.
    """
    plain = plain_prompt(text)
    if not plain:
        raise UsageError("the prompt is empty")
    before = _screen(server, pane_id)
    _paste(server, pane_id, plain)
    pasted = _settled(server, pane_id, before)
    for _ in range(_ENTER_ATTEMPTS):
        server.batch([["send-keys", "-t", pane_id, "Enter"]])
        if _taken(server, pane_id, pasted, submitted):
            return
    raise BottlemuxError(
        f"the program in pane {pane_id} did not take the prompt",
        hint="look at the pane and press Enter in it",
    )


def plain_prompt(text: str) -> str:
    """Return ``text`` without control characters: an escape sequence could end the paste and press keys."""
    return "".join(char for char in text if char in "\n\t" or char.isprintable() or ord(char) > 0x9F).rstrip(
        "\n"
    )


def _paste(server: TmuxServer, pane_id: str, text: str) -> None:
    buffer = f"bottlemux-{secrets.token_hex(4)}"
    load = ["load-buffer", "-b", buffer, "-"]
    try:
        server.batch([load, ["paste-buffer", "-p", "-d", "-b", buffer, "-t", pane_id]], stdin=text)
    except BottlemuxError:
        with contextlib.suppress(BottlemuxError):
            server.batch([["delete-buffer", "-b", buffer]])
        raise


def _screen(server: TmuxServer, pane_id: str) -> list[str]:
    """Return what the pane shows and where its cursor is."""
    cursor = "#{cursor_x},#{cursor_y},#{history_size}"
    capture = ["capture-pane", "-p", "-t", pane_id]
    return server.batch([capture, ["display-message", "-p", "-t", pane_id, cursor]])


def _settled(server: TmuxServer, pane_id: str, before: list[str]) -> list[str]:
    """Wait until the paste shows and the screen is quiet; a program may show nothing, or never be quiet."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    last, quiet = before, 0
    while time.monotonic() < deadline:
        time.sleep(_POLL_S)
        screen = _screen(server, pane_id)
        quiet = quiet + 1 if screen == last else 0
        last = screen
        if quiet >= _QUIET_POLLS and screen != before:
            break
    return last


def _taken(
    server: TmuxServer, pane_id: str, pasted: list[str], submitted: Callable[[str], bool] | None
) -> bool:
    deadline = time.monotonic() + SUBMIT_TIMEOUT_S
    while time.monotonic() < deadline:
        time.sleep(_POLL_S)
        screen = _screen(server, pane_id)
        if screen != pasted and (submitted is None or submitted("\n".join(screen[:-1]))):
            return True
    return False
