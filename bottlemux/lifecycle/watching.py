"""Keeps the windows' names and marks true while a process of ours runs: the dashboard.

Bottles are looked at once a second, and at once when a file changed that says how they do. Files are asked for their
times five times a second rather than watched by the kernel: for thirty bottles that is a fifth of a percent of a core,
and it needs no library, misses no new bottle, and works where a container or another machine writes the files.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError
from bottlemux.lifecycle import conversations
from bottlemux.lifecycle.notices import Notifier
from bottlemux.lifecycle.remembering import Recorder
from bottlemux.lifecycle.status import Collector
from bottlemux.lifecycle.windows import naming
from bottlemux.session.fitting import Fitter
from bottlemux.session.naming import Naming, rename_commands
from bottlemux.session.publishing import status_commands, waiting_command

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Sequence

    from bottlemux.lifecycle.context import Context
    from bottlemux.lifecycle.status import BottleStatus

type Rows = list[BottleStatus]

POLL_S = 0.2
LOOK_S = 1.0
KEEP_EVERY_S = 5.0
MAX_KEEP_SHARE = 0.01


class Watcher:
    """Looks at all bottles, shows in tmux what changed, and tells of what newly waits for the operator.

    What a later ``resume`` needs is written down as it changes: how the windows are arranged, and conversations.
    One that is not ``publishing`` only looks: there is one for a workspace that shows and tells.
    """

    def __init__(
        self, context: Context, collector: Collector | None = None, *, publishing: bool = True
    ) -> None:
        self._publishing = publishing
        self.collector = collector or Collector(context)
        self._context = context
        self._naming = _naming(context)
        self._notifier = Notifier(context)
        self._stamps: dict[str, tuple[int, int]] = {}
        self._fitter = Fitter()
        self._waiting: int | None = None
        self._recorder = Recorder(context, self._naming)
        self._states: dict[str, str] = {}
        self._to_keep: set[str] = set()
        self._keep_after: dict[str, float] = {}

    def watch(self, stop: threading.Event, told: Callable[[Rows], object] | None = None) -> None:
        """Look again and again until ``stop`` is set; ``told`` gets the rows of every look. Errors end nothing."""
        due = 0.0
        while not stop.is_set():
            if self.changed() or time.monotonic() >= due:
                due = time.monotonic() + LOOK_S
                try:
                    rows = self.look()
                except (BottlemuxError, OSError):
                    rows = None
                if told is not None and rows is not None:
                    told(rows)
            stop.wait(POLL_S)
        with contextlib.suppress(BottlemuxError, OSError):
            self.withdraw()

    def withdraw(self) -> None:
        """Take the marks off the windows' names again: without anybody to watch they would soon be wrong."""
        if not self._publishing:
            return
        workspace = self._context.workspace
        commands = [waiting_command(0)]
        for window in workspace.list():
            commands += rename_commands(window, self._naming.title(window, ""))
        workspace.server.batch(commands)

    def look(self) -> Rows:
        """Look once; return a row for each bottle."""
        rows = self.collector.collect()
        if self._publishing:
            self._recorder.record(list(self.collector.windows.values()))
            self.publish(rows)
            self._keep_conversations(rows)
        return rows

    def _keep_conversations(self, rows: Sequence[BottleStatus]) -> None:
        """Copy a conversation out of its bottle each time that a turn ended."""
        for row in rows:
            if self._states.get(row.slug) == "working" != row.state:
                self._to_keep.add(row.slug)
        now = time.monotonic()
        # An agent decides how often its turns end and how large its conversation is.
        for slug in [one for one in self._to_keep if now >= self._keep_after.get(one, 0.0)][:1]:
            self._to_keep.discard(slug)
            conversations.keep(self._context.paths.bottle(slug))
            took = time.monotonic() - now
            self._keep_after[slug] = now + max(KEEP_EVERY_S, took / MAX_KEEP_SHARE)
        self._states = {row.slug: row.state for row in rows}

    def changed(self) -> bool:
        """Tell whether a file that says how a bottle does has changed since this was last asked. Asks no tmux."""
        stamps = {path: _stamp(path) for path in self._paths()}
        changed = stamps != self._stamps
        self._stamps = stamps
        return changed

    def _paths(self) -> Iterable[str]:
        yield str(self._context.paths.bottles)
        yield from self.collector.watched()

    def publish(self, rows: Sequence[BottleStatus]) -> None:
        """Show in tmux what ``rows`` say anew, in one batch of commands, and tell of what newly waits."""
        windows = self.collector.windows
        commands: list[list[str]] = []
        for row in rows:
            if (window := windows.get(row.slug)) is not None:
                commands += status_commands(window, row.state)
                commands += rename_commands(window, self._naming.title(window, row.state, row.open_proposals))
        commands += self._fitter.commands(windows.values())
        waiting = sum(row.waits for row in rows)
        if waiting != self._waiting and windows:
            commands.append(waiting_command(waiting))
        if commands:
            self._context.workspace.server.batch(commands)
            self._waiting = waiting
        self._notifier.tell(rows)


def _naming(context: Context) -> Naming:
    """Return how windows are named; as shipped if the settings cannot be read, of which other commands complain."""
    try:
        return naming(context)
    except BottlemuxError:
        return Naming()


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - five times a second for every bottle
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)
