"""``bottlemux stop``."""

from __future__ import annotations

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
    from bottlemux.state.liveness import is_alive, may_run_elsewhere

    def runs(identity: str) -> bool:
        files = context.paths.bottle(identity)
        return is_alive(files) or may_run_elsewhere(files)

    def end(identity: str) -> str:
        with console.progress(f"stopping {identity}"):
            stop(context, identity)
        return "stopped"

    return selection.for_each(context, options, end, default=runs)
