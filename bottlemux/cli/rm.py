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
    parser.add_argument(
        "-y", "--yes", action="store_true", help="do not ask, at a terminal, before a working copy is deleted"
    )
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Delete the state of ended bottles: record, logs, home and working copy."""
    identities = [context.store.resolve_prefix(slug) for slug in options.slugs]
    if not options.yes and not _agreed(context, identities):
        sys.stderr.write("nothing was removed\n")
        return 1
    code = 0
    for identity in identities:
        code = _remove(context, identity, alone=len(identities) == 1) or code
    return code


def _agreed(context: Context, identities: list[str]) -> bool:
    """Ask a person before the only copy of an agent's work goes; a script has said what it wants."""
    kept = [identity for identity in identities if any(context.paths.bottle(identity).workspace.glob("*"))]
    if not kept or not console.is_interactive():
        return True
    sys.stderr.write(
        f"{', '.join(kept)}: the working copy goes as well; bottlemux fetch brings commits home first\n"
    )
    return console.confirm("Remove all of it?")


def _remove(context: Context, identity: str, *, alone: bool) -> int:
    from bottlemux.lifecycle.running import remove

    try:
        with console.progress(f"removing {identity}"):
            remove(context, identity)
    except BottlemuxError as error:
        if alone:
            raise
        sys.stderr.write(f"bottlemux: error: {printable(error.message)}\n")
        return error.exit_code
    sys.stdout.write(f"{identity}: removed\n")
    return 0
