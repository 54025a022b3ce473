"""Telling the operator that an agent newly waits: in tmux, and on the desktop where that is wanted."""

from __future__ import annotations

import contextlib
import html
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from bottlemux.approvals.finding import open_proposals
from bottlemux.approvals.showing import request_text
from bottlemux.errors import BottlemuxError
from bottlemux.manifest.config import load_config
from bottlemux.manifest.models import Notices
from bottlemux.process import run, scrubbed_environ
from bottlemux.session.publishing import LIST_CLIENTS_COMMAND, Client, parse_clients, show_message
from bottlemux.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bottlemux.lifecycle.context import Context
    from bottlemux.lifecycle.status import BottleStatus

MESSAGE_S = 4.0
QUIET_S = 10.0
"""After a notice, so long none of the same bottle: an agent decides what state it reports, and could ring for ever."""
_MAX_TEXT = 160
_DESKTOP_TIMEOUT_S = 5.0
_DESKTOP_VARIABLES = ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR")


class Notice(NamedTuple):
    """Something that newly waits: in which bottle, and what to say. The text is safe to show.

    It is empty for a new proposal that nobody stands still for: what is asked is in its file.
    """

    slug: str
    text: str


class Changes:
    """What newly waits, from look to look. What waits already at the first look is no news."""

    def __init__(self, *, finished: bool = False) -> None:
        self._telling = {"waiting", "finished"} if finished else {"waiting"}
        self._known: dict[str, tuple[str, str]] | None = None
        self._asked: dict[str, int] = {}
        self._told_at: dict[str, float] = {}

    def after(self, rows: Sequence[BottleStatus], now: float | None = None) -> list[Notice]:
        """Return what is new in ``rows``, at the time ``now`` of a clock that never goes back."""
        moment = time.monotonic() if now is None else now
        found = [
            notice
            for notice in self._news(rows)
            if moment - self._told_at.get(notice.slug, -QUIET_S) >= QUIET_S
        ]
        self._told_at |= {notice.slug: moment for notice in found}
        return found

    def _news(self, rows: Sequence[BottleStatus]) -> list[Notice]:
        known, asked = self._known, self._asked
        self._known = {row.slug: (row.state, row.since) for row in rows if row.state in self._telling}
        self._asked = {row.slug: row.open_proposals for row in rows}
        if known is None:
            return []
        return [
            notice
            for row in rows
            if (notice := _notice(row, known.get(row.slug), asked.get(row.slug, 0), self._known))
        ]


def _notice(
    row: BottleStatus, before: tuple[str, str] | None, asked: int, now: dict[str, tuple[str, str]]
) -> Notice | None:
    state = now.get(row.slug)
    if state is not None and state != before:
        return Notice(row.slug, _cut(f"{row.slug} {row.state}: {row.reason}"))
    if row.open_proposals > asked:
        return Notice(row.slug, "")
    return None


def _cut(text: str) -> str:
    safe = printable(text)
    return safe if len(safe) <= _MAX_TEXT else f"{safe[: _MAX_TEXT - 3]}..."


class Notifier:
    """Tells of what newly waits, as the user's settings say."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._settings = _settings(context)
        self._changes = Changes(finished=self._settings.finished)

    def tell(self, rows: Sequence[BottleStatus]) -> None:
        """Tell what is new in ``rows``. A notice that cannot be shown is dropped."""
        notices = [
            notice if notice.text else self._asked(notice.slug) for notice in self._changes.after(rows)
        ]
        if notices:
            with contextlib.suppress(BottlemuxError):
                self.show(notices)

    def _asked(self, slug: str) -> Notice:
        proposals = open_proposals(self._context.paths, slug)
        what = request_text(proposals[-1]) if proposals else "something"
        return Notice(slug, _cut(f"{slug} asks for {what}"))

    def show(self, notices: Sequence[Notice]) -> None:
        """Show ``notices`` to everybody who does not look at what they are about."""
        workspace = self._context.workspace
        clients = parse_clients(workspace.server.batch([LIST_CLIENTS_COMMAND]))
        windows = {window.slug: window.window_id for window in workspace.list()}
        for notice in notices:
            # Who looks at the window sees it there.
            others = [client for client in clients if client.window_id != windows.get(notice.slug)]
            for client in others:
                if self._settings.message:
                    show_message(workspace.server, client.name, notice.text, MESSAGE_S)
                _write(client, self._signal(notice.text))
        if self._settings.desktop == "notify-send":
            _notify(self._context, notices)

    def _signal(self, text: str) -> str:
        bell = "\a" if self._settings.bell else ""
        match self._settings.desktop:
            case "osc9":
                return f"\033]9;{text}\a{bell}"
            case "osc777":
                return f"\033]777;notify;bottlemux;{text.replace(';', ',')}\a{bell}"
            case _:
                return bell


def _write(client: Client, signal: str) -> None:
    """Write ``signal`` to the terminal itself: tmux passes no such thing on."""
    if not signal or not client.tty.startswith("/dev/"):
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(client.tty, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(descriptor, signal.encode())
        finally:
            os.close(descriptor)


def _notify(context: Context, notices: Sequence[Notice]) -> None:
    desktop = {name: value for name in _DESKTOP_VARIABLES if (value := context.environ.get(name))}
    for notice in notices:
        argv = [
            "notify-send",
            "--app-name=bottlemux",
            "--",
            "bottlemux",
            html.escape(notice.text, quote=False),
        ]
        with contextlib.suppress(BottlemuxError):
            run(argv, timeout=_DESKTOP_TIMEOUT_S, env={**scrubbed_environ(context.environ), **desktop})


def _settings(context: Context) -> Notices:
    try:
        return load_config(context.paths).notices
    except BottlemuxError:
        return Notices()
