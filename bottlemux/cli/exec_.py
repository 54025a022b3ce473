"""``bottlemux exec``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bottlemux.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from bottlemux.lifecycle.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.usage = "bottlemux exec SLUG [--user U] -- CMD [ARG ...]"
    parser.add_argument("slug", metavar="SLUG", help="a running bottle")
    parser.add_argument("--user", metavar="U", default="node", help="as whom (default: node)")
    parser.set_defaults(run=run, arguments=[])


def run(context: Context, options: argparse.Namespace) -> int:
    """Run a command in the bottle; standard streams, signals and the exit code pass through."""
    from backends.registry import get_bottle_backend

    if not options.arguments:
        raise UsageError("what shall be run?", hint="bottlemux exec SLUG -- CMD")
    record = context.store.load(context.store.resolve_prefix(options.slug))
    bottle = get_bottle_backend(record.backend, paths=context.paths).find(record.identity)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return bottle.run(options.arguments, user=options.user, tty=terminal)
