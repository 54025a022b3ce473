"""``bottlemux rm``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bottlemux.cli import console
from bottlemux.errors import BottlemuxError
from bottlemux.text import printable

if TYPE_CHECKING:
    import argparse

    from bottlemux.lifecycle.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument("slugs", metavar="SLUG", nargs="+", help="an ended bottle")
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Delete the state of ended bottles: record, logs, home and working copy."""
    from bottlemux.lifecycle.running import remove

    code = 0
    for slug in options.slugs:
        try:
            identity = context.store.resolve_prefix(slug)
            with console.progress(f"removing {identity}"):
                remove(context, identity)
            sys.stdout.write(f"{identity}: removed\n")
        except BottlemuxError as error:
            if len(options.slugs) == 1:
                raise
            sys.stderr.write(f"bottlemux: error: {printable(error.message)}\n")
            code = code or error.exit_code
    return code
