"""Saved layouts: taken from live windows, given to running ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError, NotFoundError, UsageError
from bottlemux.files import make_private_dir, write_atomic
from bottlemux.lifecycle.running import find_bottle
from bottlemux.lifecycle.windows import pane_argv
from bottlemux.session.layout import Layout, PaneLayout, WindowLayout
from bottlemux.session.layout_files import check_name, dump_layout, find_layout, load_layout
from bottlemux.session.rearranging import rearrange
from bottlemux.session.saving import read_window, to_layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bottlemux.lifecycle.context import Context
    from bottlemux.session.models import WindowInfo


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
    raise UsageError(
        "which bottle's window?", hint="name it with --slug SLUG; bottlemux list active shows them"
    )


def capture(context: Context, windows: Sequence[WindowInfo]) -> Layout:
    """Return ``windows`` as they are now."""
    if not windows:
        raise NotFoundError("no bottle has a window", hint="bottlemux start AGENT opens one")
    server = context.workspace.server
    return Layout(windows=tuple(to_layout(read_window(server, info.window_id), info) for info in windows))


def save(context: Context, name: str, layout: Layout, *, replace_old: bool = False) -> Path:
    """Write ``layout`` as the user's own layout ``name`` and return its file."""
    path = context.paths.layouts / f"{check_name(name)}.yaml"
    if path.exists() and not replace_old:
        raise BottlemuxError(f"there is a layout {name!r} already", hint="give --force to replace it")
    make_private_dir(path.parent)
    write_atomic(path, dump_layout(layout))
    return path


def remove(context: Context, name: str) -> Path:
    """Remove the user's own layout ``name``; the project's and the shipped ones are not ours to remove."""
    path = context.paths.layouts / f"{check_name(name)}.yaml"
    if not path.is_file():
        found = find_layout(name, context.paths, context.cwd)
        raise UsageError(f"layout {name!r} is not one of yours ({found.origin}: {found.path})")
    path.unlink()
    return path


def apply(
    context: Context, name: str, slug: str | None, *, close: bool = False
) -> tuple[list[str], list[WindowLayout]]:
    """Give running windows the layout ``name``; return the slugs, and the parts no window was there for.

    A layout of one window is for the window of ``slug`` (see :func:`current_window`); one of several is for all
    windows, by their agents' names.
    """
    if slug is not None:
        slug = context.store.resolve_prefix(slug)
    directory = Path(context.store.load(slug).cwd) if slug else context.cwd
    layout = load_layout(find_layout(name, context.paths, directory).path)
    pairs, unused = _pairs(context, layout, slug)
    for window, info in pairs:
        _apply_one(context, window, info, close=close)
    return [info.slug for _, info in pairs], unused


def _pairs(
    context: Context, layout: Layout, slug: str | None
) -> tuple[list[tuple[WindowLayout, WindowInfo]], list[WindowLayout]]:
    if len(layout.windows) == 1 or slug is not None:
        return [(layout.windows[0], current_window(context, slug))], []
    left = context.workspace.list()
    pairs: list[tuple[WindowLayout, WindowInfo]] = []
    unused: list[WindowLayout] = []
    for window in layout.windows:
        info = next((info for info in left if window.agent in {None, info.agent}), None)
        if info is None:
            unused.append(window)
        else:
            left.remove(info)
            pairs.append((window, info))
    return pairs, unused


def _apply_one(context: Context, window: WindowLayout, info: WindowInfo, *, close: bool) -> None:
    record = context.store.load(info.slug)

    def argv_for(pane: PaneLayout) -> list[str]:
        return pane_argv(context, find_bottle(context, record), pane)

    if close and all(pane.role != "agent" for pane in window.panes):
        raise UsageError(
            f"the layout has no pane for the agent: --close would end the one of {info.slug}",
            hint="leave --close out, or add a pane with role: agent",
        )
    rearrange(context.workspace.server, info, window, argv_for, close=close)
