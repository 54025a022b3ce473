"""``bottlemux rm``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

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

    for slug in options.slugs:
        identity = context.store.resolve_prefix(slug)
        remove(context, identity)
        sys.stdout.write(f"{identity}: removed\n")
    return 0
