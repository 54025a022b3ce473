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
    selection.add_slugs(parser, everything="every bottle that has ended, after a question")
    parser.add_argument(
        "-y", "--yes", action="store_true",
        help="do not ask: before --all, and at a terminal before a working copy is deleted",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Delete the state of ended bottles: record, logs, home and working copy."""
    from bottlemux.lifecycle.running import remove

    identities = selection.chosen(
        context, options, every=lambda identity: not selection.may_run(context, identity)
    )
    if not identities:
        console.remark("no bottle has ended")
    if not options.yes and not _agreed(context, identities, every=options.all):
        sys.stderr.write("nothing was removed\n")
        return 1

    def delete(identity: str) -> str:
        with console.progress(f"removing {identity}"):
            remove(context, identity)
        return "removed"

    return selection.carry_on(context, identities, delete)


def _agreed(context: Context, identities: list[str], *, every: bool) -> bool:
    """Ask before what nobody named goes, and a person before the only copy of an agent's work does.

    What runs is refused later: there is nothing to ask about it.
    """
    ended = [identity for identity in identities if not selection.may_run(context, identity)]
    kept = [identity for identity in ended if any(context.paths.bottle(identity).workspace.glob("*"))]
    if not ended or not (every or (kept and console.is_interactive())):
        return True
    if kept:
        sys.stderr.write(
            f"{', '.join(kept)}: the working copy goes as well; bottlemux fetch brings commits home first\n"
        )
    return console.confirm(f"Remove {', '.join(ended)}?")
