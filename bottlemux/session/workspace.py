"""The workspace: the session ``bottlemux`` with a window a bottle, found again by the marks they carry."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError, NotFoundError, UsageError, unknown_name
from bottlemux.session import building, dashboard_window, prompting
from bottlemux.session.commands import as_process
from bottlemux.session.fitting import fit_commands
from bottlemux.session.listing import (
    LIST_COMMAND,
    LIST_SESSIONS_COMMAND,
    has_session,
    parse_windows,
    server_missing_an_exit,
)
from bottlemux.session.models import plain_value, safe_name
from bottlemux.session.server import ServerGoneError, TmuxError, parse_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bottlemux.session.models import WindowInfo, WindowSpec
    from bottlemux.session.server import TmuxServer

type Windows = list[WindowInfo]
type Lines = list[str]
type Commands = list[building.Command]
type Argv = list[str]
type Batch = Sequence[building.Command]

DEFAULT_SIZE = (200, 50)

_CLOSE_ATTEMPTS = 3
_PANE_ID = re.compile(r"%\d+")


class Workspace:
    """The session on one tmux server. It may be absent; opening a window makes it.

    ``dashboard`` returns what runs in the session's first window, ``None`` for no such window; it is asked only when
    that window has to be made, and so are the ``options`` of the session.
    """

    def __init__(
        self,
        server: TmuxServer,
        *,
        environ: Mapping[str, str] | None = None,
        dashboard: Callable[[], Sequence[str] | None] = lambda: None,
        options: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        env = os.environ if environ is None else environ
        self.server = server
        self._options = options
        self._home = env.get("HOME") or "/"
        self._pane = env.get("TMUX_PANE", "")
        self.dashboard = dashboard_window.DashboardWindow(server, dashboard, self._home)
        self._shell = env.get("SHELL") or "/bin/sh"

    def exists(self) -> bool:
        """Tell whether the session is there."""
        try:
            self.server.batch([["has-session", "-t", f"={building.SESSION}"]])
        except TmuxError:
            return False
        return True

    def ensure(
        self, first: WindowSpec | None = None, *, size: tuple[int, int] = DEFAULT_SIZE
    ) -> WindowInfo | None:
        """Make the session if it is absent, and open ``first`` if one is given.

        A new session without ``first`` holds the dashboard alone, or a window with the user's shell where there is
        none. ``size`` is that of the terminal about to attach, in characters; it counts for a new session only.
        """
        if first is not None:
            return self.open_windows([first], size=size)[0]
        if not self.exists():
            self._create([], size)
        else:
            self.dashboard.revive()
        return None

    def open_window(self, spec: WindowSpec) -> WindowInfo:
        """Open one window; see :meth:`open_windows`."""
        return self.open_windows([spec])[0]

    def open_windows(
        self, specs: Sequence[WindowSpec], *, size: tuple[int, int] = DEFAULT_SIZE, in_order: bool = False
    ) -> Windows:
        """Open all windows, behind what the user is looking at, and return them in the order of ``specs``.

        Each goes to the others of its directory, unless they shall be ``in_order``. After a failure none of them is
        left. The session is made with ``size`` if it is absent; its last window's programs then start first.
        """
        if not specs:
            return []
        exists, others, reviving = self._check_free(specs)
        # A new session shows its last window: the programs of the others do not hold up what is looked at.
        started = specs if exists else [*map(building.started_later, specs[:-1]), specs[-1]]
        builds = [building.window_commands(spec, self._home) for spec in started]
        try:
            lines = self._arrange(
                specs, self._build(builds, size, exists=exists), None if in_order else others, reviving
            )
            found = {window.slug: window for window in parse_windows(lines)}
            return [found[spec.slug] for spec in specs]
        except BaseException:
            with contextlib.suppress(BottlemuxError):
                for spec in specs:
                    self.close(spec.slug)
            raise

    def list(self) -> Windows:
        """Return every bottle's window with its panes, by one tmux call as a rule; empty without a server."""
        try:
            lines = self.server.batch([LIST_COMMAND])
            if server := server_missing_an_exit(lines):
                with contextlib.suppress(OSError):
                    os.kill(server, signal.SIGCHLD)
                lines = self.server.batch([LIST_COMMAND])
            return parse_windows(lines)
        except ServerGoneError:
            return []

    def find(self, slug: str) -> WindowInfo | None:
        """Return the window of the bottle ``slug``."""
        return next((window for window in self.list() if window.slug == slug), None)

    def require(self, slug: str) -> WindowInfo:
        """Return the window of ``slug``; :class:`NotFoundError` names the ones there are."""
        windows = {window.slug: window for window in self.list()}
        if slug not in windows:
            raise unknown_name("window of bottle", slug, list(windows))
        return windows[slug]

    def close(self, slug: str) -> bool:
        """End the window of ``slug`` and its panes wherever they were moved; ``False`` if there is none."""
        for attempt in range(_CLOSE_ATTEMPTS):
            window = self.find(slug)
            if window is None:
                return attempt > 0
            # A pane may end by itself between the two calls; the next round sees what is left.
            with contextlib.suppress(TmuxError):
                self.server.batch([["kill-pane", "-t", pane.pane_id] for pane in window.panes])
        return True

    def respawn(self, pane_id: str, argv: Sequence[str]) -> None:
        """Run ``argv`` in a bottle's pane, in place of whatever runs or ended in it."""
        self._require_own(pane_id)
        self.server.batch([["respawn-pane", "-k", "-t", pane_id, "--", *as_process(argv)]])

    def set_status(self, slug: str, mark: str) -> None:
        """Set the status of one bottle's window."""
        self.require(slug)
        self.set_statuses({slug: mark})

    def set_statuses(self, marks: Mapping[str, str]) -> None:
        """Set the statuses of many windows at once; slugs without a window are passed over."""
        commands = [
            ["set-option", "-w", "-t", window.window_id, "@bottlemux_status", plain_value(marks[window.slug])]
            for window in self.list()
            if window.slug in marks and marks[window.slug] != window.status
        ]
        if commands:
            self.server.batch(commands)

    def rename(self, slug: str, name: str) -> None:
        """Change what the status line calls the window of ``slug``."""
        self.server.batch([["rename-window", "-t", self.require(slug).window_id, "--", safe_name(name)]])

    def select(self, slug: str) -> None:
        """Make the window of ``slug`` the current one of its session."""
        self.server.batch([["select-window", "-t", self.require(slug).window_id]])

    def zoom(self, slug: str) -> None:
        """Show the agent's pane of ``slug`` alone in its window, or all panes again."""
        pane = self.require(slug).pane("agent")
        if pane is None:
            raise NotFoundError(f"{slug} has no pane for its agent", hint=f"bottlemux resume {slug}")
        self.server.batch([["resize-pane", "-Z", "-t", pane.pane_id]])

    def attach_argv(self, slug: str | None = None) -> Argv:
        """Return what to ``exec`` to bring the user to the workspace, or to the window of ``slug``.

        To be run with the caller's own environment: inside tmux it finds the client to switch by ``$TMUX``. The
        windows are given their proportions in the terminal they will be shown in, if nobody looks at them yet.
        """
        target = self.require(slug).window_id if slug is not None else f"={building.SESSION}:"
        inside = self.server.inside()
        with contextlib.suppress(TmuxError, OSError):
            self._fit(inside=inside)
        if inside:
            return self.server.argv("switch-client", "-t", target)
        if surrounding := self.server.surrounding_socket():
            raise UsageError(
                f"this terminal is inside another tmux ({surrounding}), not the one of the workspace",
                hint="detach from it first, or leave out --socket-name to have the workspace in it",
            )
        return self.server.argv("attach-session", "-t", target)

    def _fit(self, *, inside: bool) -> None:
        status = ["display-message", "-p", "-t", f"={building.SESSION}:", "#{session_attached} #{status}"]
        client = [["display-message", "-p", "-t", self._pane, "#{client_width} #{client_height}"]]
        lines = self.server.batch([status, *(client if inside and self._pane else []), LIST_COMMAND])
        attached, bars = lines.pop(0).split(" ")
        columns, rows = terminal_size()
        if inside and self._pane and (shown := lines.pop(0).split()):
            columns, rows = map(int, shown)
        rows -= {"off": 0, "on": 1}[bars] if bars in {"off", "on"} else int(bars)
        if attached == "0":
            self.server.batch(
                [
                    command
                    for window in parse_windows(lines)
                    if window.session == building.SESSION
                    for command in fit_commands(window, (columns, rows))
                ]
            )

    def popup_argv(
        self, argv: Sequence[str], *, width: str = "80%", height: str = "80%", title: str = ""
    ) -> Argv:
        """Return the tmux client that shows ``argv`` in a popup over the current client and ends with it.

        ``title`` stands in its border, from tmux 3.3 on.
        """
        named = ["-T", f" {title} "] if title and self._has("3.3") else []
        size = ["-w", width, "-h", height]
        return self.server.argv("display-popup", "-E", *size, *named, "--", *as_process(argv))

    def _has(self, version: str) -> bool:
        identity = self.server.identity()
        return identity is not None and parse_version(identity.version) >= parse_version(version)

    def capture(self, pane_id: str, lines: int = 200) -> str:
        """Return the last ``lines`` lines of the pane, history included, without blank lines at the end.

        The text is the program's own: escape it before it reaches a terminal.
        """
        command = ["capture-pane", "-p", "-J", "-t", _checked(pane_id), "-S", f"-{lines}"]
        text = "\n".join(line.rstrip() for line in self.server.batch([command])).rstrip("\n")
        return "\n".join(text.split("\n")[-lines:])

    def send_prompt(self, pane_id: str, text: str, *, submitted: Callable[[str], bool] | None = None) -> None:
        """Submit ``text`` to the program of a bottle's pane; see :func:`prompting.send_prompt`."""
        self._require_own(pane_id)
        prompting.send_prompt(self.server, pane_id, text, submitted=submitted)

    def _check_free(self, specs: Sequence[WindowSpec]) -> tuple[bool, Windows, Commands]:
        """Refuse slugs that have a window already; tell whether there is a session, its windows, and what is amiss."""
        try:
            lines = self.server.batch([LIST_SESSIONS_COMMAND, LIST_COMMAND, dashboard_window.LIST_COMMAND])
        except ServerGoneError:
            return False, [], []
        windows = parse_windows(lines)
        taken = {window.slug for window in windows}
        for spec in specs:
            if spec.slug in taken:
                raise BottlemuxError(
                    f"{spec.slug} has a window already", hint="see it with: bottlemux attach"
                )
        return has_session(lines, building.SESSION), windows, self.dashboard.reviving(lines)

    def _build(self, builds: Sequence[Batch], size: tuple[int, int], *, exists: bool) -> Lines:
        if not exists:
            with contextlib.suppress(_DuplicateSessionError):
                return self._create(builds, size)
        return self.server.batch([command for build in builds for command in build])

    def _create(self, builds: Sequence[Batch], size: tuple[int, int]) -> Lines:
        self.server.require_version()
        built = [command for build in builds for command in build]
        commands = self.dashboard.creating(built, size)
        if not commands:
            built = built or building.home_window(self._shell, self._home)
            commands = [*building.session_commands(size, self._home), *built, *building.drop_placeholder()]
        try:
            commands += building.session_options(self._options())
            return self.server.batch(commands, start=True)
        except TmuxError as error:
            if "duplicate session" in error.message:
                raise _DuplicateSessionError(error.message) from error
            with contextlib.suppress(TmuxError):
                self.server.batch([["kill-window", "-t", line] for line in error.output[:1]])
            raise

    def _arrange(
        self, specs: Sequence[WindowSpec], printed: Lines, others: Windows | None, reviving: Commands
    ) -> Lines:
        """Shape and mark the windows that were made; return what listing them then prints."""
        created = building.parse_created(printed)
        if len(created) != len(specs):
            raise TmuxError(
                "windows vanished while they were made", hint="look for hooks in the tmux configuration"
            )
        commands: Commands = []
        for spec, (window_id, (size, pane_ids)) in zip(specs, created.items(), strict=True):
            commands += building.arrange_commands(spec, window_id, size, pane_ids)
        if others is not None:
            places = [(info.window_id, info.directory) for info in others if info.session == building.SESSION]
            commands += building.grouping_commands(
                places, [(window_id, spec.directory) for spec, window_id in zip(specs, created, strict=True)]
            )
        return self.server.batch([*commands, *reviving, LIST_COMMAND])

    def _require_own(self, pane_id: str) -> None:
        """Refuse a pane that is no bottle's: ids start again with the server, an old one may be anybody's."""
        if not any(pane.pane_id == pane_id for window in self.list() for pane in window.panes):
            raise NotFoundError(f"no bottle has the pane {pane_id!r}", hint="see: bottlemux list active")


def terminal_size() -> tuple[int, int]:
    """Return columns and rows of this process's terminal, :data:`DEFAULT_SIZE` where it has none."""
    columns, rows = shutil.get_terminal_size(DEFAULT_SIZE)
    return columns, rows


class _DuplicateSessionError(TmuxError):
    """Somebody else made the session in the meantime."""


def _checked(pane_id: str) -> str:
    if not _PANE_ID.fullmatch(pane_id):
        raise UsageError(f"{pane_id!r} is not a pane id such as %7")
    return pane_id
