"""``bottlemux dashboard``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.cli import console
from bottlemux.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from bottlemux.lifecycle.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument(
        "--cwd", metavar="DIR", type=Path, help="the project directory of what is started (default: this one)"
    )
    parser.add_argument(
        "--resident", action="store_true", help="as the workspace's own window: q does not leave it"
    )
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Show all bottles until it is left."""
    from bottlemux.dashboard.places import is_inside

    if not console.is_interactive():
        raise UsageError("the dashboard needs a terminal", hint="bottlemux status prints the same once")
    if options.cwd is not None:
        context = dataclasses.replace(context, cwd=options.cwd.absolute())
    inside = is_inside(context)
    from bottlemux.dashboard.app import Dashboard

    Dashboard(context, resident=options.resident, inside=inside).run()
    return 0
