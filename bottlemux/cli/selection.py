"""Commands that work on several bottles: naming them, and carrying on when one fails."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from bottlemux.cli import console
from bottlemux.errors import BottlemuxError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from bottlemux.lifecycle.context import Context


def add_slugs(parser: argparse.ArgumentParser, *, everything: str) -> None:
    """Add ``SLUG...`` and ``--all``, which stands for ``everything``."""
    parser.add_argument(
        "slugs", metavar="SLUG", nargs="*", help="a bottle, or the unique beginning of its name"
    )
    parser.add_argument("--all", action="store_true", help=everything)


def for_each(
    context: Context,
    options: argparse.Namespace,
    act: Callable[[str], str],
    *,
    default: Callable[[str], bool] = lambda _identity: True,
) -> int:
    """Do ``act`` with each chosen bottle and print what it returns; return the first failure's exit code."""
    store = context.store
    if options.all == bool(options.slugs):
        raise UsageError("name the bottles, or give --all", hint="bottlemux status shows them")
    if options.all:
        identities = [identity for identity in store.identities() if default(identity)]
    else:
        identities = [store.resolve_prefix(slug) for slug in options.slugs]
    if not identities:
        console.remark("there is no such bottle; bottlemux status shows all")
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

    sys.stderr.write(f"bottlemux: error: {identity}: {printable(error.message)}\n")
