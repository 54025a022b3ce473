"""A bottle's window: which program runs in which pane."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from backends.programs import START_SCRIPT
from bottlemux.lifecycle import conversations, recalling
from bottlemux.manifest.config import load_config
from bottlemux.session.layout import UNNAMED
from bottlemux.session.layout_files import find_window
from bottlemux.session.models import WindowSpec
from bottlemux.session.naming import Naming

if TYPE_CHECKING:
    from backends.contract import Bottle
    from bottlemux.lifecycle.context import Context
    from bottlemux.session.layout import PaneLayout, WindowLayout
    from bottlemux.state.metadata import Metadata

OWN_COMMANDS = {"audit": ("audit", "-f"), "logs": ("logs", "-f"), "diff": ("diff", "--follow")}
"""What runs outside the bottle, by the role of its pane: it does not end with the bottle."""


def naming(context: Context) -> Naming:
    """Return how windows are named, from the user's settings."""
    settings = load_config(context.paths).workspace
    return Naming(settings.window_name, {str(state): mark for state, mark in settings.marks.items()})


def window_for(
    context: Context, record: Metadata, bottle: Bottle, layout: WindowLayout | None = None
) -> WindowSpec:
    """Return the window of a running bottle: in ``layout``, else as it was last, else in its recorded layout."""
    last = None if layout else recalling.window_of(context.paths, record.identity)
    spec = WindowSpec.from_layout(
        record.identity,
        record.agent,
        record.backend,
        layout or last or named_layout(context, record),
        lambda pane: pane_argv(context, bottle, pane),
        directory=record.cwd,
    )
    return replace(spec, name=last.window_name) if last and last.window_name != UNNAMED else spec


def named_layout(context: Context, record: Metadata, name: str = "") -> WindowLayout:
    """Return the layout ``name``, else the one that the bottle was started with."""
    return find_window(name or record.layout, record.agent, context.paths, Path(record.cwd))


def pane_argv(context: Context, bottle: Bottle, pane: PaneLayout, said: str = "") -> list[str]:
    """Return what runs in ``pane``. A command from a layout file runs in the bottle, never on the host.

    ``said`` is what an agent is told when its conversation goes on.
    """
    if pane.argv:
        return bottle.claude_argv(list(pane.argv))
    if pane.shell_command:
        return bottle.claude_argv(["/bin/sh", "-lc", "\n".join(pane.shell_command)])
    if own := OWN_COMMANDS.get(pane.role_name):
        return context.own_argv(own[0], bottle.identity, *own[1:])
    if pane.role_name == "agent":
        session = conversations.to_continue(context.paths.bottle(bottle.identity))
        words = [session, *([said] if said else [])] if session else []
        return bottle.claude_argv([START_SCRIPT, *words])
    return bottle.claude_argv(["/bin/bash", "-l"])
