"""``bottlemux stop``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bottlemux.cli import console, selection

if TYPE_CHECKING:
    import argparse

    from bottlemux.lifecycle.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    selection.add_slugs(parser, everything="every running bottle")
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """End the bottles; one that fails stops no other."""
    from bottlemux.lifecycle.running import stop

    def end(identity: str) -> str:
        with console.progress(f"stopping {identity}"):
            stop(context, identity)
        return "stopped"

    identities = selection.chosen(context, options, every=partial(selection.may_run, context))
    if not identities:
        console.remark("no bottle runs")
    return selection.carry_on(context, identities, end)
