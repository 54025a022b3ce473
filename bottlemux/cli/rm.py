"""``bottlemux rm``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bottlemux.cli import console, selection

if TYPE_CHECKING:
    import argparse

    from bottlemux.lifecycle.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument("slugs", metavar="SLUG", nargs="+", help="an ended bottle")
    parser.add_argument(
        "-y", "--yes", action="store_true", help="do not ask, at a terminal, before a working copy is deleted"
    )
    parser.epilog = selection.RULE
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Delete the state of ended bottles: record, logs, home and working copy."""
    from bottlemux.lifecycle.running import remove

    identities = selection.named(context, options.slugs)
    if not options.yes and not _agreed(context, identities):
        sys.stderr.write("nothing was removed\n")
        return 1

    def delete(identity: str) -> str:
        with console.progress(f"removing {identity}"):
            remove(context, identity)
        return "removed"

    return selection.carry_on(context, identities, delete)


def _agreed(context: Context, identities: list[str]) -> bool:
    """Ask a person before the only copy of an agent's work goes; a script has said what it wants."""
    kept = [identity for identity in identities if any(context.paths.bottle(identity).workspace.glob("*"))]
    if not kept or not console.is_interactive():
        return True
    sys.stderr.write(
        f"{', '.join(kept)}: the working copy goes as well; bottlemux fetch brings commits home first\n"
    )
    return console.confirm("Remove all of it?")
