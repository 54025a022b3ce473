"""Reading every bottle's panes with one ``list-panes``, whatever their number."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bottlemux.session.models import PaneInfo, WindowInfo

if TYPE_CHECKING:
    from collections.abc import Iterable

_FIELDS = (
    "pane_id",
    "window_id",
    "session_name",
    "@bottlemux_slug",
    "@bottlemux_agent",
    "@bottlemux_backend",
    "@bottlemux_status",
    "@bottlemux_role",
    "@bottlemux_directory",
    "pane_pid",
    "pane_active",
    "pane_dead",
    "pane_dead_status",
    "pane_dead_signal",
    "pane_dead_time",
    "pid",
    "window_activity",
    "@bottlemux_tree",
    "window_active",
    "window_zoomed_flag",
    "window_layout",
    "window_name",
)
_REMEMBERED = 1024
LIST_SESSIONS_COMMAND = ("list-sessions", "-F", "session\t#{session_name}")
# -a, not -s: the user may have moved a window to another session.
LIST_COMMAND = (
    "list-panes",
    "-a",
    "-f",
    "#{!=:#{@bottlemux_slug},}",
    "-F",
    "\t".join(f"#{{{field}}}" for field in _FIELDS),
)


@dataclass(frozen=True)
class _Row:
    pane: PaneInfo
    window: WindowInfo


def has_session(lines: Iterable[str], name: str) -> bool:
    """Tell whether :data:`LIST_SESSIONS_COMMAND` printed the session ``name``."""
    return f"session\t{name}" in lines


def parse_windows(lines: Iterable[str]) -> list[WindowInfo]:
    """Group the lines of :data:`LIST_COMMAND` by bottle, in their order, leaving out what makes no sense."""
    groups: dict[str, list[str]] = {}
    for line in lines:
        row = _parse_row(line)
        if row is not None:
            groups.setdefault(row.window.slug, []).append(line)
    return [_merge(tuple(group)) for group in groups.values()]


def server_missing_an_exit(lines: Iterable[str]) -> int | None:
    """Return the server's process id if it lists a dead pane whose exit code it does not know.

    tmux before 3.5 can miss that a child ended; it looks again when it is told of any child.
    """
    for line in lines:
        row = _fields(line)
        if (
            row is not None
            and row["pane_dead"] == "1"
            and not row["pane_dead_status"] + row["pane_dead_signal"]
        ):
            return int(row["pid"])
    return None


# From look to look most lines stay as they are.
@functools.lru_cache(maxsize=_REMEMBERED)
def _fields(line: str) -> dict[str, str] | None:
    values = line.split("\t")
    return dict(zip(_FIELDS, values, strict=True)) if len(values) == len(_FIELDS) else None


@functools.lru_cache(maxsize=_REMEMBERED)
def _parse_row(line: str) -> _Row | None:
    row = _fields(line)
    if row is None:
        return None
    try:
        return _Row(_pane(row), _window(row))
    except ValueError:
        return None


def _pane(row: dict[str, str]) -> PaneInfo:
    status = row["pane_dead_status"]
    return PaneInfo(
        pane_id=row["pane_id"],
        role=row["@bottlemux_role"],
        pid=int(row["pane_pid"] or 0),
        active=row["pane_active"] == "1",
        dead=row["pane_dead"] == "1",
        dead_status=int(status) if status else None,
        dead_signal=row["pane_dead_signal"],
        dead_at=int(row["pane_dead_time"] or 0),
    )


def _window(row: dict[str, str]) -> WindowInfo:
    return WindowInfo(
        window_id=row["window_id"],
        session=row["session_name"],
        name=shown_name(row["window_name"]),
        slug=row["@bottlemux_slug"],
        agent=row["@bottlemux_agent"],
        backend=row["@bottlemux_backend"],
        status=row["@bottlemux_status"],
        activity=int(row["window_activity"]),
        layout=row["window_layout"],
        panes=(),
        directory=row["@bottlemux_directory"],
        tree=row["@bottlemux_tree"],
        current=row["window_active"] == "1",
        zoomed=row["window_zoomed_flag"] == "1",
    )


def shown_name(name: str) -> str:
    """Return the name that was given to a window: tmux keeps some characters escaped after a renaming."""

    def plain(found: re.Match[str]) -> str:
        codes = re.findall(r"\\([0-7]{3})", found[0])
        return (
            bytes(int(code, 8) & 0xFF for code in codes).decode("utf-8", "replace") if codes else found[0][1]
        )

    # The dollar sign is 3.4's own.
    return re.sub(r"\\[\\$]|(?:\\[0-7]{3})+", plain, name)


@functools.lru_cache(maxsize=_REMEMBERED)
def _merge(lines: tuple[str, ...]) -> WindowInfo:
    rows: dict[str, _Row] = {}
    for line in lines:
        if (row := _parse_row(line)) is not None:
            # A window linked into two sessions is listed twice.
            rows.setdefault(row.pane.pane_id, row)
    return _joined(list(rows.values()))


def _joined(rows: list[_Row]) -> WindowInfo:
    # Only the window the bottle was opened in carries the agent's name.
    home = next((row.window for row in rows if row.window.agent), rows[0].window)
    return replace(home, panes=tuple(row.pane for row in rows))
