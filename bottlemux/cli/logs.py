"""``bottlemux logs``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bottlemux.cli.follow import follow
from bottlemux.errors import unknown_name

if TYPE_CHECKING:
    import argparse

    from bottlemux.lifecycle.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument("slug", metavar="SLUG", help="a bottle, running or ended")
    parser.add_argument("service", metavar="SERVICE", nargs="?", help="only this sidecar (default: all)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as the logs grow; Ctrl-C ends")
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Print the logs of a bottle's sidecars, each line with the name of its service."""
    from bottlemux.text import printable

    identity = context.store.resolve_prefix(options.slug)
    logs = {path.stem: path for path in sorted(context.paths.bottle(identity).logs.glob("*.log"))}
    if options.service is not None:
        if options.service not in logs:
            raise unknown_name("log", options.service, list(logs))
        logs = {options.service: logs[options.service]}
    if options.follow and sys.stdout.isatty():
        sys.stdout.write(f"the logs of {identity}, as they grow (Ctrl-C ends)\n")
        sys.stdout.flush()
    for path, line in follow(list(logs.values()), forever=options.follow):
        prefix = "" if options.service else f"{path.stem}: "
        sys.stdout.write(f"{prefix}{printable(line)}\n")
        sys.stdout.flush()
    return 0
