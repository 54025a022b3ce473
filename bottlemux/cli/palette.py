"""``bottlemux palette``."""

from __future__ import annotations

import dataclasses
import gc
from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.cli import console
from bottlemux.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from bottlemux.lifecycle.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument("--here", action="store_true", help="stay in this terminal: open no popup")
    parser.add_argument(
        "--cwd", metavar="DIR", type=Path, help="the project directory of what is started (default: this one)"
    )
    parser.add_argument(
        "--client", metavar="NAME", help="the tmux client to switch (default: the one that was used last)"
    )
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Show the palette, in a popup when called from a pane of the workspace's tmux; then do what was chosen."""
    from bottlemux.palette.popup import go_argv, popup_argv

    if not console.is_interactive():
        raise UsageError("the palette needs a terminal", hint="scripts use: bottlemux start, stop, list, ...")
    if options.cwd is not None:
        context = dataclasses.replace(context, cwd=options.cwd.absolute())
    if not options.here and (popup := popup_argv(context)) is not None:
        console.become(popup)
    # Everything imported stays: looking for garbage in it costs a tenth of the time to first paint.
    gc.disable()
    from bottlemux.palette.app import Palette

    chosen = Palette(context, lambda slug: go_argv(context, slug, options.client)).run()
    if chosen is not None:
        console.become(chosen)
    return 0
