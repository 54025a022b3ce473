"""``bottlemux exec``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from bottlemux.errors import UsageError

if TYPE_CHECKING:
    from bottlemux.lifecycle.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.usage = "bottlemux exec SLUG [--user U] -- CMD [ARG ...]"
    parser.add_argument("slug", metavar="SLUG", help="a running bottle")
    parser.add_argument("--user", metavar="U", default="node", help="as whom (default: node)")
    parser.add_argument("command", metavar="CMD", nargs=argparse.REMAINDER, help="after --: what to run")
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Run a command in the bottle; standard streams, signals and the exit code pass through."""
    from backends.registry import get_bottle_backend

    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise UsageError("what shall be run?", hint="bottlemux exec SLUG -- CMD")
    record = context.store.load(context.store.resolve_prefix(options.slug))
    bottle = get_bottle_backend(record.backend, paths=context.paths).find(record.identity)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return bottle.run(command, user=options.user, tty=terminal)
