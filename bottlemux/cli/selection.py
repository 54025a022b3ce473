"""Commands that work on several bottles: naming them, and carrying on when one fails."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from bottlemux.cli import console
from bottlemux.errors import BottlemuxError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from bottlemux.lifecycle.context import Context


RULE = (
    "Of several bottles all names are looked up first: an unknown one, and nothing is done. Then a bottle that fails "
    "stops no other. Each failure is a line on standard error, and the exit code is that of the first."
)
"""What the commands on several bottles have in common, for their help and the reference."""


def add_slugs(parser: argparse.ArgumentParser, *, everything: str) -> None:
    """Add ``SLUG...`` and ``--all``, which stands for ``everything``."""
    parser.add_argument(
        "slugs", metavar="SLUG", nargs="*", help="a bottle, or the unique beginning of its name"
    )
    parser.add_argument("--all", action="store_true", help=everything)
    parser.epilog = RULE


def chosen(context: Context, options: argparse.Namespace, *, every: Callable[[str], bool]) -> list[str]:
    """Return the bottles that were named, or with ``--all`` those for which ``every`` holds."""
    if options.all == bool(options.slugs):
        raise UsageError("name the bottles, or give --all", hint="bottlemux status shows them")
    if options.all:
        return [identity for identity in context.store.identities() if every(identity)]
    return named(context, options.slugs)


def may_run(context: Context, identity: str) -> bool:
    """Tell whether a bottle runs here, or was launched on another machine and may run there."""
    from bottlemux.state.liveness import is_alive, may_run_elsewhere

    files = context.paths.bottle(identity)
    return is_alive(files) or may_run_elsewhere(files)


def named(context: Context, slugs: Sequence[str]) -> list[str]:
    """Return the bottles of these names, each once."""
    return list(dict.fromkeys(context.store.resolve_prefix(slug) for slug in slugs))


def carry_on(context: Context, identities: Sequence[str], act: Callable[[str], str]) -> int:
    """Do ``act`` with each bottle and print what it returns; return the first failure's exit code."""
    code = 0
    for at, identity in enumerate(identities):
        try:
            with console.telling_when_interrupted(partial(_state, context, *identities[at:])):
                sys.stdout.write(f"{identity}: {act(identity)}\n")
        except BottlemuxError as error:
            if len(identities) == 1:
                raise
            complain(identity, error)
            code = code or error.exit_code
    return code


def _state(context: Context, current: str, *rest: str) -> str:
    from bottlemux.state.liveness import is_alive

    runs = "runs" if is_alive(context.paths.bottle(current)) else "does not run"
    untouched = f", {', '.join(rest)} as before" if rest else ""
    return f"{current} {runs}{untouched}; the same command goes on; bottlemux status and cleanup show what is left"


def complain(identity: str, error: BottlemuxError) -> None:
    """Say what failed with one of several bottles."""
    from bottlemux.text import printable

    about = "" if error.message.startswith((identity, repr(identity))) else f"{identity}: "
    sys.stderr.write(f"bottlemux: error: {about}{printable(error.message)}\n")
