"""``bottlemux attach``."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from bottlemux.cli import console
from bottlemux.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from bottlemux.lifecycle.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument("--layout", metavar="NAME", help="put the current windows into this layout")
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Make the workspace where there is none, open the windows of bottles that run without one, and go there."""
    from bottlemux.lifecycle.attaching import prepare_workspace
    from bottlemux.lifecycle.warming import warm_up

    if not console.is_interactive():
        raise UsageError("there is no terminal to attach", hint="bottlemux status shows what runs")
    try:
        columns, rows = os.get_terminal_size()
    except OSError:
        columns, rows = 200, 50
    with contextlib.suppress(OSError):
        warm_up(context)
    prepare_workspace(context, size=(columns, rows), layout=options.layout)
    return console.become(context.workspace.attach_argv())
