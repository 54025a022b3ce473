"""The palette and tmux: opening it in a popup over the pane it was called from, and getting to a window."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bottlemux.lifecycle.context import Context

_MIN_COLUMNS = 100
_MIN_ROWS = 30
_PANE_FORMAT = "#{pane_tty}\t#{client_width}\t#{client_height}\t#{@bottlemux_slug}\t#{client_name}"


def popup_argv(context: Context, *words: str) -> Sequence[str] | None:
    """Return what opens the palette in a popup; ``None`` where it is to be shown right here.

    That is: outside tmux, inside another tmux than the workspace's, in a popup already (which is no pane), or
    where no client would show the popup.
    """
    pane = context.environ.get("TMUX_PANE")
    workspace = context.workspace
    if not pane or not workspace.server.inside():
        return None
    try:
        (line,) = workspace.server.batch([["display-message", "-p", "-t", pane, _PANE_FORMAT]])
        tty, width, height, slug, client = line.split("\t", 4)
        here = os.ttyname(sys.stdin.fileno())
    except (BottlemuxError, OSError, ValueError):
        return None
    if tty != here or not client:
        return None
    # A popup has the environment and directory of the server, not of this shell.
    seat = [f"--client={client}", f"--pane={pane}", f"--slug={slug}"]
    own = context.quick_argv("palette", "--here", f"--cwd={context.cwd}", *seat, *words)
    size = "80%" if int(width) >= _MIN_COLUMNS and int(height) >= _MIN_ROWS else "100%"
    return workspace.popup_argv(own, width=size, height=size)


def go_argv(context: Context, slug: str | None, client: str | None) -> Sequence[str]:
    """Return what brings the person to the window of ``slug``, or to the workspace.

    ``client`` is the tmux client under a popup: from inside the popup tmux could only guess it.
    """
    workspace = context.workspace
    argv = workspace.attach_argv(slug)
    if client is None or not workspace.server.inside():
        return argv
    target = "=bottlemux:" if slug is None else workspace.require(slug).window_id
    return workspace.server.argv("switch-client", "-c", client, "-t", target)
