"""Saved layouts: taken from live windows, given to running ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError, NotFoundError, UsageError
from bottlemux.files import make_private_dir, write_atomic
from bottlemux.lifecycle.running import find_bottle
from bottlemux.lifecycle.windows import naming, pane_argv
from bottlemux.paths import LAYOUT_SCHEMA
from bottlemux.session.layout import UNNAMED, Layout
from bottlemux.session.layout_files import check_name, dump_layout, find_layout, json_schema
from bottlemux.session.naming import rename_commands
from bottlemux.session.rearranging import rearrange
from bottlemux.session.saving import read_windows, to_layout
from bottlemux.state.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bottlemux.lifecycle.context import Context
    from bottlemux.session.layout import PaneLayout, WindowLayout
    from bottlemux.session.layout_files import LayoutFile
    from bottlemux.session.models import WindowInfo
    from bottlemux.state.store import BrokenRecord


class WhichWindowError(UsageError):
    """Several bottles have a window, and nothing says which one is meant."""


def current_window(context: Context, slug: str | None) -> WindowInfo:
    """Return the window of ``slug``; without one that of the pane we are called from, or the only one there is."""
    windows = context.workspace.list()
    if slug is not None:
        return context.workspace.require(context.store.resolve_prefix(slug))
    pane = context.environ.get("TMUX_PANE")
    if pane and context.workspace.server.inside():
        for window in windows:
            if any(own.pane_id == pane for own in window.panes):
                return window
    if len(windows) == 1:
        return windows[0]
    raise WhichWindowError("which bottle's window?", hint="name the bottle; bottlemux list active shows them")


def capture(context: Context, windows: Sequence[WindowInfo]) -> Layout:
    """Return ``windows`` as they are now, with what it takes to start their agents again."""
    if not windows:
        raise NotFoundError("no bottle has a window", hint="bottlemux start AGENT opens one")
    live = read_windows(context.workspace.server, [info.window_id for info in windows])
    names, records = naming(context), {record.identity: record for record in context.store.list()}
    return Layout(
        windows=tuple(
            to_layout(live[info.window_id], info, names).model_copy(update=_origin(records.get(info.slug)))
            for info in windows
            if info.window_id in live
        )
    )


def _origin(record: Metadata | BrokenRecord | None) -> dict[str, object]:
    if not isinstance(record, Metadata):
        return {}
    return {
        "agent": record.agent,
        "slug": record.identity,
        "bottle": record.bottle,
        "start_directory": record.cwd,
        "workspace": record.workspace,
        "args": record.args,
    }


def save(context: Context, name: str, layout: Layout, *, replace_old: bool = False) -> Path:
    """Write ``layout`` as the user's own layout ``name`` and return its file."""
    path = context.paths.layouts / f"{check_name(name)}.yaml"
    if path.exists() and not replace_old:
        raise BottlemuxError(f"there is a layout {name!r} already", hint="give --force to replace it")
    make_private_dir(path.parent)
    write_atomic(path, dump_layout(layout))
    write_atomic(path.parent / LAYOUT_SCHEMA, json_schema(), durable=False)
    return path


def remove(context: Context, name: str) -> Path:
    """Remove the user's own layout ``name``; the project's and the shipped ones are not ours to remove."""
    path = context.paths.layouts / f"{check_name(name)}.yaml"
    if not path.is_file():
        found = find_layout(name, context.paths, context.cwd)
        raise UsageError(f"layout {name!r} is not one of yours ({found.origin}: {found.path})")
    path.unlink()
    return path


def apply(context: Context, file: LayoutFile, info: WindowInfo, *, close: bool = False) -> None:
    """Give the running window ``info`` a window of the layout in ``file``: its agent's, else the first."""
    file.check_reach(Path(context.store.load(info.slug).cwd))
    window = file.load().window_for(info.agent)
    arrange(context, window, info, close=close)
    if window.window_name != UNNAMED:
        context.workspace.server.batch(rename(context, window, info))


def rename(context: Context, window: WindowLayout, info: WindowInfo) -> list[list[str]]:
    """Return what names the window ``info`` as ``window`` says, its mark kept."""
    name = info.slug if window.window_name == UNNAMED else window.window_name
    return rename_commands(info, naming(context).renamed(info.name, name))


def arrange(context: Context, window: WindowLayout, info: WindowInfo, *, close: bool = False) -> None:
    """Give the running window ``info`` the arrangement and the panes of ``window``."""
    record = context.store.load(info.slug)

    def argv_for(pane: PaneLayout) -> list[str]:
        return pane_argv(context, find_bottle(context, record), pane)

    if close and all(pane.role != "agent" for pane in window.panes):
        raise UsageError(
            f"the layout has no pane for the agent: --close would end the one of {info.slug}",
            hint="leave --close out, or add a pane with role: agent",
        )
    rearrange(context.workspace.server, info, window, argv_for, close=close)
