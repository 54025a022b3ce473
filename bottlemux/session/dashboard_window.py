"""The workspace's own window: the lowest one, found by its mark, brought back when it is gone or its program ended."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from bottlemux.session import building
from bottlemux.session.building import SESSION, key_or, literal
from bottlemux.session.commands import as_process, delayed
from bottlemux.session.server import ServerGoneError, TmuxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bottlemux.session.building import Command
    from bottlemux.session.server import TmuxServer

ROLE = "dashboard"
_FIRST = f"={SESSION}:{{start}}"
_LAST = f"={SESSION}:{{end}}"

_DELAY_S = 2
_TAG = "session-pane"
_FIELDS = ("window_index", "base-index", "pane_id", "pane_dead", "session_attached", "session_name",
           "@bottlemux_role", "@bottlemux_slug", "window_active", "window_last_flag", "window_activity")  # fmt: skip
# Wherever the user moved the dashboard, and everything in the session: what is not ours keeps it alive too.
LIST_COMMAND = (
    "list-panes", "-a",
    "-f", f"#{{||:#{{==:#{{session_name}},{SESSION}}},#{{==:#{{@bottlemux_role}},{ROLE}}}}}",
    "-F", "\t".join((_TAG, *(f"#{{{field}}}" for field in _FIELDS))),
)  # fmt: skip

_DEAD_FORMAT = f"[the dashboard ended] {key_or('attach', 'bottlemux attach')} brings it back"


class _Pane(NamedTuple):
    number: int
    base: int
    pane_id: str
    dead: bool
    attached: bool
    session: str
    role: str
    slug: str
    current: bool
    last: bool
    output_at: int


class DashboardWindow:
    """The dashboard's window on one server. ``argv`` returns what runs in it, ``None`` for no such window.

    It is asked only when the window has to be made.
    """

    def __init__(self, server: TmuxServer, argv: Callable[[], Sequence[str] | None], home: str) -> None:
        self._server, self._argv, self._home = server, argv, home

    def creating(self, windows: Sequence[Command], size: tuple[int, int]) -> list[Command]:
        """Return what makes the session with this window and ``windows``; nothing where there is to be none."""
        argv = self._argv()
        return session_commands(argv, windows, size, self._home) if argv else []

    def reviving(self, lines: Sequence[str]) -> list[Command]:
        """Return what the window needs to be there and alive, given what :data:`LIST_COMMAND` printed."""
        if not revive_commands(lines, ("true",), self._home):
            return []
        argv = self._argv()
        return revive_commands(lines, argv, self._home) if argv else []

    def revive(self) -> None:
        """Bring the window back if the session is there without it, or with one whose program ended."""
        with contextlib.suppress(ServerGoneError):
            if commands := self.reviving(self._list()):
                self._server.batch(commands)

    def landing(self) -> str | None:
        """Return the bottle whose window who attaches shall see first; ``None`` for the session as it was left."""
        return landing_slug(self._list())

    def end_if_unused(self) -> None:
        """End a session that nobody looks at and in which nothing is left but the dashboard."""
        with contextlib.suppress(TmuxError):
            if panes := unused_panes(self._list()):
                self._server.batch([["kill-pane", "-t", pane] for pane in panes])

    def _list(self) -> list[str]:
        return self._server.batch([LIST_COMMAND])


def session_commands(
    argv: Sequence[str], windows: Sequence[Command], size: tuple[int, int], home: str
) -> list[Command]:
    """Return what makes the session with the dashboard and ``windows``, of which the last one is shown first."""
    # Loading the dashboard would slow down the start of the bottle that this session is made for.
    process = delayed(argv, _DELAY_S) if windows else argv
    made = [*building.session_commands(size, home, process, ROLE), *mark_commands(), *windows]
    return [*made, ["select-window", "-t", _LAST]] if windows else made


def mark_commands() -> list[Command]:
    """Return what marks the session's first window, just made, as the dashboard."""
    options = {
        "remain-on-exit": "on", "remain-on-exit-format": _DEAD_FORMAT, "allow-rename": "off",
        "allow-passthrough": "off", "@bottlemux_role": ROLE,
    }  # fmt: skip
    marks = [["set-option", "-wq", "-t", _FIRST, name, value] for name, value in options.items()]
    return [*marks, ["set-option", "-p", "-t", _FIRST, "@bottlemux_role", ROLE]]


def revive_commands(lines: Iterable[str], argv: Sequence[str], home: str) -> list[Command]:
    """Return what brings the dashboard back, given what :data:`LIST_COMMAND` printed; nothing if it is there."""
    panes = _parse(lines)
    own = [pane for pane in panes if pane.role == ROLE]
    if any(not pane.dead for pane in own):
        return []
    process = as_process(argv)
    if own:
        return [["respawn-pane", "-k", "-t", own[0].pane_id, "--", *process]]
    inside = [pane for pane in panes if pane.session == SESSION]
    if not inside:
        return []
    lowest, base = min(pane.number for pane in inside), inside[0].base
    # A free lowest number is taken as it is: nobody's windows are renumbered without need.
    where = ["-t", f"={SESSION}:{base}"] if base < lowest else ["-b", "-t", _FIRST]
    return [["new-window", "-d", *where, "-n", ROLE, "-c", literal(home), "--", *process], *mark_commands()]


def unused_panes(lines: Iterable[str]) -> list[str]:
    """Return the dashboard's panes where they are all that the session has and no client shows it."""
    panes = [pane for pane in _parse(lines) if pane.session == SESSION]
    if any(pane.attached or pane.role != ROLE for pane in panes):
        return []
    return [pane.pane_id for pane in panes]


def landing_slug(lines: Iterable[str]) -> str | None:
    """Return the bottle whose window is to be shown to who comes first; ``None`` for the session as it was left.

    Who comes to the dashboard alone is brought to the bottle that was looked at last: the dashboard is one key away.
    """
    panes = [pane for pane in _parse(lines) if pane.session == SESSION]
    if any(pane.attached or (pane.current and pane.role != ROLE) for pane in panes):
        return None
    bottles = [pane for pane in panes if pane.slug]
    return max(bottles, key=lambda pane: (pane.last, pane.output_at)).slug if bottles else None


def _parse(lines: Iterable[str]) -> list[_Pane]:
    rows = [line.split("\t") for line in lines]
    return [
        _Pane(
            int(row[1]),
            int(row[2] or 0),
            row[3],
            row[4] == "1",
            row[5] != "0",
            row[6],
            row[7],
            row[8],
            row[9] == "1",
            row[10] == "1",
            int(row[11] or 0),
        )
        for row in rows
        if len(row) == len(_FIELDS) + 1 and row[0] == _TAG
    ]
