"""``bottlemux prompt``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bottlemux.cli import selection
from bottlemux.errors import BottlemuxError, NotFoundError, UsageError

if TYPE_CHECKING:
    import argparse

    from bottlemux.lifecycle.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument(
        "words", metavar="SLUG... TEXT", nargs="+",
        help="bottles, or the unique beginnings of their names, then the prompt; - reads it from standard input",
    )  # fmt: skip
    parser.add_argument(
        "--all", action="store_true", help="every bottle that runs; then there is only the prompt"
    )
    parser.add_argument(
        "--force", action="store_true", help="even where an agent waits for an answer of yours"
    )
    parser.epilog = selection.RULE
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Paste the prompt into the agents' panes, submit it, and say of each whether it was taken."""
    from bottlemux.lifecycle.prompting import send_prompts

    *slugs, text = options.words
    chosen = _chosen(context, slugs, every=options.all)
    prompt = sys.stdin.buffer.read().decode("utf-8", "replace") if text == "-" else text
    code = 0
    for slug, outcome in send_prompts(context, chosen, prompt, force=options.force):
        if not isinstance(outcome, BottlemuxError):
            sys.stdout.write(f"{slug}: {outcome}\n")
            continue
        if len(chosen) == 1:
            raise outcome
        selection.complain(slug, outcome)
        code = code or outcome.exit_code
    return code


def _chosen(context: Context, slugs: list[str], *, every: bool) -> list[str]:
    from bottlemux.state.liveness import is_alive

    if every == bool(slugs):
        raise UsageError(
            "name the bottles before the prompt, or give --all", hint="bottlemux status shows them"
        )
    if not every:
        return selection.named(context, slugs)
    running = [slug for slug in context.store.identities() if is_alive(context.paths.bottle(slug))]
    if not running:
        raise NotFoundError("no bottle runs", hint="bottlemux start AGENT")
    return running
