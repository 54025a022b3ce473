"""``bottlemux cleanup``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bottlemux.cli import console
from bottlemux.errors import BottlemuxError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from bottlemux.lifecycle.cleaning import Leftover
    from bottlemux.lifecycle.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """List what no live bottle owns, ask, and remove it."""
    from bottlemux.lifecycle.cleaning import find_leftovers

    with console.progress("looking for what nothing owns"):
        leftovers, failures = find_leftovers(context)
    for failure in failures:
        sys.stderr.write(f"bottlemux: warning: {failure}\n")
    if not leftovers:
        sys.stdout.write("nothing to clean up\n")
        return 0
    for leftover in leftovers:
        sys.stdout.write(leftover.description + "\n")
    if not options.yes and not console.confirm("Remove all of it?"):
        sys.stderr.write("nothing was removed\n")
        return 1
    with console.progress("removing it") as say:
        left = [leftover for leftover in leftovers if not _is_removed(leftover, say)]
    count = sum(len(leftover.description.splitlines()) for leftover in leftovers if leftover not in left)
    sys.stdout.write(f"removed {console.counted(count, 'thing')}\n")
    return 1 if left else 0


def _is_removed(leftover: Leftover, say: Callable[[str], None]) -> bool:
    try:
        leftover.remove()
    except (BottlemuxError, OSError) as error:
        say(f"bottlemux: warning: {leftover.description.splitlines()[0]}: {error}")
        return False
    return True
