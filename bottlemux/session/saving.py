"""A live window as a layout: its tree, what is in its panes, focus and zoom."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast, get_args

from bottlemux.errors import NotFoundError
from bottlemux.session.geometry import layout_string, parse_layout_string
from bottlemux.session.layout import PaneLayout, Role, TreeLayout, WindowLayout
from bottlemux.session.models import decode_command

if TYPE_CHECKING:
    from bottlemux.session.models import WindowInfo
    from bottlemux.session.server import TmuxServer

_FIELDS: tuple[str, ...] = (
    "pane_id",
    "pane_active",
    "window_zoomed_flag",
    "window_width",
    "window_height",
    "window_layout",
    "@bottlemux_role",
    "@bottlemux_command",
)
_FORMAT = "\t".join(f"#{{{field}}}" for field in _FIELDS)
_LEAF = re.compile(r"\d+x\d+,\d+,\d+,(\d+)(?![\dx])")
_ROLES = frozenset(cast("tuple[str, ...]", get_args(Role.__value__)))


@dataclass(frozen=True)
class LivePane:
    """A pane of a window. ``command`` is the layout's ``shell_command``; both are empty in a pane of the user's."""

    pane_id: str
    role: str
    command: tuple[str, ...]
    active: bool

    def layout(self) -> PaneLayout:
        """Return the pane for a layout file. What the user put there on the host becomes a shell in the bottle."""
        if self.command:
            return PaneLayout(shell_command=self.command, focus=self.active)
        role = self.role if self.role in _ROLES else "shell"
        return PaneLayout(role=cast("Role", role), focus=self.active)


@dataclass(frozen=True)
class LiveWindow:
    """A window as it is now. ``panes`` are in the order of the layout; ``size`` is columns and rows."""

    window_id: str
    size: tuple[int, int]
    layout: str
    zoomed: bool
    panes: tuple[LivePane, ...]


def read_window(server: TmuxServer, window_id: str) -> LiveWindow:
    """Return the window with the panes that are in it, whatever bottle they belong to."""
    lines = server.batch([["list-panes", "-t", window_id, "-F", _FORMAT]])
    rows = [
        dict(zip(_FIELDS, line.split("\t"), strict=True))
        for line in lines
        if line.count("\t") == len(_FIELDS) - 1
    ]
    if not rows:
        raise NotFoundError(f"the window {window_id} has no panes")
    first = rows[0]
    found = {row["pane_id"]: _pane(row) for row in rows}
    # A zoomed window still reports the layout it goes back to.
    order = [f"%{number}" for number in _LEAF.findall(first["window_layout"])]
    return LiveWindow(
        window_id=window_id,
        size=(int(first["window_width"]), int(first["window_height"])),
        layout=first["window_layout"],
        zoomed=first["window_zoomed_flag"] == "1",
        panes=tuple(found[pane_id] for pane_id in order if pane_id in found),
    )


def to_layout(live: LiveWindow, info: WindowInfo) -> WindowLayout:
    """Return ``live`` as the layout that makes it again, ratios in place of characters."""
    tree = parse_layout_string(live.layout)
    named = info.name not in {"", info.slug}
    return WindowLayout(
        window_name=info.name[:80] if named else "bottle",
        agent=info.agent or None,
        layout=layout_string(tree, *live.size) if tree.children else None,
        tree=TreeLayout.from_cell(tree) if tree.children else None,
        zoom=live.zoomed,
        panes=tuple(pane.layout() for pane in live.panes),
    )


def _pane(row: dict[str, str]) -> LivePane:
    return LivePane(
        pane_id=row["pane_id"],
        role=row["@bottlemux_role"],
        command=decode_command(row["@bottlemux_command"]),
        active=row["pane_active"] == "1",
    )
