"""``bottlemux attach``."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from bottlemux.cli import console, trusting
from bottlemux.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from bottlemux.lifecycle.context import Context
    from bottlemux.session.layout_files import LayoutFile


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument(
        "slug", metavar="SLUG", nargs="?",
        help="go to the window of this bottle (default: as the workspace was left)",
    )  # fmt: skip
    parser.add_argument(
        "--layout",
        metavar="LAYOUT",
        help="a layout: of a whole session, to start what it names and arrange all windows; "
        "of one, for the windows that are opened now",
    )
    parser.add_argument(
        "-y", "--yes", action="store_true", help="start what a layout names without a question"
    )
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Make the workspace where there is none, open the windows of bottles that run without one, and go there."""
    from bottlemux.actions.binding import with_offer
    from bottlemux.cli.selection import complain
    from bottlemux.lifecycle.attaching import prepare_workspace
    from bottlemux.lifecycle.warming import warm_up

    if not console.is_interactive():
        raise UsageError("there is no terminal to attach", hint="bottlemux status shows what runs")
    slug = context.store.resolve_prefix(options.slug) if options.slug else None
    with contextlib.suppress(OSError):
        warm_up(context)
    layout = options.layout
    if layout:
        file = trusting.find(context, layout, context.cwd)
        loaded = trusting.asking(file.load)
        if loaded is None:
            return 1
        if loaded.is_session:
            if code := _arrange(context, file, yes=options.yes):
                return code
            layout = None
    for unopened, problem in prepare_workspace(context, layout).items():
        complain(unopened, problem)
    argv = context.workspace.attach_argv(slug or context.workspace.dashboard.landing())
    return console.become(with_offer(context, argv))


def _arrange(context: Context, file: LayoutFile, *, yes: bool) -> int:
    """Arrange the session; return an exit code where nothing came of it: what was said must not go out of sight."""
    from bottlemux.cli.arranging import arrange_session

    code = arrange_session(context, file, yes=yes)
    if code is None or (code and not context.workspace.list()):
        sys.stderr.write("hint: bottlemux attach goes to what runs\n")
        return code or 1
    return 0
