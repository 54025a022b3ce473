"""Live windows as layouts: their trees, what is in their panes, focus, zoom and options."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from bottlemux.errors import NotFoundError
from bottlemux.session.geometry import layout_string, panes_in_order, parse_layout_string
from bottlemux.session.layout import OPTIONS, UNNAMED, PaneLayout, Role, TreeLayout, WindowLayout
from bottlemux.session.models import Program
from bottlemux.session.naming import Naming

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bottlemux.session.models import WindowInfo
    from bottlemux.session.server import TmuxServer

_FIELDS: tuple[str, ...] = (
    "pane_id",
    "pane_pid",
    "pane_active",
    "window_id",
    "window_active",
    "window_zoomed_flag",
    "window_width",
    "window_height",
    "window_layout",
    "@bottlemux_slug",
    "@bottlemux_role",
    "@bottlemux_command",
)
_LIST = ("list-panes", "-a", "-F", "\t".join(f"#{{{field}}}" for field in _FIELDS))
_ROLES = frozenset(cast("tuple[str, ...]", get_args(Role.__value__)))
_OWN_PROGRAM = "bottlemux"
_MAX_CMDLINE = 64 * 1024

type _Row = dict[str, str]


@dataclass(frozen=True)
class LivePane:
    """A pane of a window. ``role`` is empty in a pane of the user's own, ``program`` where the role says it."""

    pane_id: str
    role: str
    program: Program
    active: bool

    def layout(self) -> PaneLayout:
        """Return the pane for a layout file. What the user put there on the host becomes a shell in the bottle."""
        if self.program:
            return PaneLayout(
                shell_command=self.program.shell_command, argv=self.program.argv, focus=self.active
            )
        role = self.role if self.role in _ROLES else "shell"
        return PaneLayout(role=cast("Role", role), focus=self.active)


@dataclass(frozen=True)
class LiveWindow:
    """A window as it is now. ``panes`` are in the order of the layout; ``size`` is columns and rows.

    ``options`` are those a layout may set, as far as they are set on this window.
    """

    window_id: str
    size: tuple[int, int]
    layout: str
    zoomed: bool
    active: bool
    panes: tuple[LivePane, ...]
    options: Mapping[str, str] = field(default_factory=dict[str, str])


def read_windows(server: TmuxServer, window_ids: Sequence[str]) -> dict[str, LiveWindow]:
    """Return the windows that still are, each with all panes that are in it, whatever bottle they belong to."""
    shown = [
        command
        for window_id in window_ids
        for command in (
            ["display-message", "-p", "-t", window_id, "#{window_id}"],
            ["show-options", "-w", "-t", window_id],
        )
    ]
    lines = server.batch([list(_LIST), *shown])
    rows, options = list(_rows(lines)), _options(lines)
    found: dict[str, LiveWindow] = {}
    for window_id in window_ids:
        own = [row for row in rows if row["window_id"] == window_id]
        if own:
            found[window_id] = _window(own, options.get(window_id, {}))
    return found


def read_window(server: TmuxServer, window_id: str) -> LiveWindow:
    """Return one window; :class:`NotFoundError` if it is gone."""
    found = read_windows(server, [window_id])
    if not found:
        raise NotFoundError(f"the window {window_id} has no panes")
    return found[window_id]


def panes_elsewhere(server: TmuxServer, info: WindowInfo) -> list[LivePane]:
    """Return the panes of a bottle that the user moved out of its window."""
    rows = {row["pane_id"]: row for row in _rows(server.batch([list(_LIST)]))}
    away = (
        rows[pane.pane_id]
        for pane in info.panes
        if pane.pane_id in rows and rows[pane.pane_id]["window_id"] != info.window_id
    )
    return [_pane(row, info.slug) for row in away]


def to_layout(live: LiveWindow, info: WindowInfo, naming: Naming | None = None) -> WindowLayout:
    """Return ``live`` as the layout that makes it again, ratios in place of characters."""
    tree = parse_layout_string(live.layout)
    name = (naming or Naming()).base(info.name)
    return WindowLayout(
        window_name=UNNAMED if name in {"", info.slug} else name[:80],
        agent=info.agent or None,
        layout=layout_string(tree, *live.size) if tree.children else None,
        tree=TreeLayout.from_cell(tree) if tree.children else None,
        options=dict(live.options),
        focus=live.active,
        zoom=live.zoomed,
        panes=tuple(pane.layout() for pane in live.panes),
    )


def _rows(lines: Sequence[str]) -> Iterator[_Row]:
    for line in lines:
        values = line.split("\t")
        if len(values) == len(_FIELDS):
            yield dict(zip(_FIELDS, values, strict=True))


def _options(lines: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the options by window, from lines that follow the window's id."""
    found: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in lines:
        if re.fullmatch(r"@\d+", line):
            current = found.setdefault(line, {})
        name, _, value = line.partition(" ")
        if name in OPTIONS and re.fullmatch(OPTIONS[name], value):
            current[name] = value
    return found


def _window(rows: Sequence[_Row], options: Mapping[str, str]) -> LiveWindow:
    first = rows[0]
    # A pane of the user's own has the slug of its window.
    panes = {row["pane_id"]: _pane(row, row["@bottlemux_slug"]) for row in rows}
    # A zoomed window still reports the layout it goes back to.
    order = panes_in_order(first["window_layout"])
    return LiveWindow(
        window_id=first["window_id"],
        size=(int(first["window_width"]), int(first["window_height"])),
        layout=first["window_layout"],
        zoomed=first["window_zoomed_flag"] == "1",
        active=first["window_active"] == "1",
        panes=tuple(panes[pane_id] for pane_id in order if pane_id in panes),
        options=options,
    )


def _pane(row: _Row, slug: str) -> LivePane:
    program = Program.from_mark(row["@bottlemux_command"])
    if not row["@bottlemux_role"]:
        program = _entered(row["pane_pid"], slug)
    return LivePane(row["pane_id"], row["@bottlemux_role"], program, active=row["pane_active"] == "1")


def _entered(pid: str, slug: str) -> Program:
    """Return what a pane of the user's runs in the bottle by ``bottlemux exec SLUG -- ARGV``, if it does."""
    try:
        with Path("/proc", pid, "cmdline").open("rb") as stream:
            words = stream.read(_MAX_CMDLINE).decode("utf-8").removesuffix("\0").split("\0")
    except (OSError, UnicodeDecodeError):
        return Program()
    for at, word in enumerate(words[:-3]):
        if word.rpartition("/")[2] == _OWN_PROGRAM and words[at + 1 : at + 4] == ["exec", slug, "--"]:
            return Program(argv=tuple(words[at + 4 :]))
    return Program()
