"""``bottlemux resume``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bottlemux.cli import console, selection

if TYPE_CHECKING:
    import argparse

    from bottlemux.lifecycle.context import Context
    from bottlemux.state.metadata import Metadata


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    selection.add_slugs(
        parser, everything="every bottle but those you stopped: its window, panes and conversation"
    )
    parser.add_argument("--backend", metavar="B", help="bring it back on another backend")
    parser.add_argument("--dry-run", action="store_true", help="print what would come back and make nothing")
    parser.add_argument("-d", "--detach", action="store_true", help="do not go to the window")
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Bring the bottles back, then go to the one that was named last, or to the workspace."""
    if options.all and not options.slugs:
        code, brought = _all(context, options)
        if not brought:
            return code  # what was said must not go out of sight at once
        target = None
    else:
        identities = selection.chosen(context, options, every=lambda _identity: True)
        code = selection.carry_on(context, identities, lambda slug: _one(context, options, slug))
        target = context.store.resolve_prefix(options.slugs[-1]) if not code else None
    if code or options.dry_run or options.detach or not console.is_interactive():
        return code
    if target is None and not context.workspace.exists():
        return code
    return console.become(context.workspace.attach_argv(target))


def _one(context: Context, options: argparse.Namespace, slug: str) -> str:
    from bottlemux.lifecycle.running import resume

    record = context.store.load(slug)
    if options.dry_run:
        return _preview(context, record, options.backend)
    with console.progress(f"resuming {slug}"):
        return resume(context, record, options.backend)


def _preview(context: Context, record: Metadata, backend: str | None) -> str:
    from bottlemux.lifecycle.planning import plan_resume
    from bottlemux.state.liveness import is_alive

    if is_alive(context.paths.bottle(record.identity)):
        return "runs; its window and program would be mended where needed"
    plan_resume(context, record, backend).print(console.write_columns)
    return "would be started again"


def _all(context: Context, options: argparse.Namespace) -> tuple[int, bool]:
    """Return the exit code, and whether any bottle was brought back."""
    from bottlemux.lifecycle.resuming import preview, resume_all, wanted
    from bottlemux.lifecycle.warming import warm_up

    records, outcomes, stopped = wanted(context)
    if options.dry_run:
        outcomes += preview(context, records, options.backend)
    elif records:
        warm_up(context)
        with (
            console.telling_when_interrupted(
                lambda: "bottlemux status shows what came back, bottlemux resume --all goes on"
            ),
            console.progress(f"resuming {len(records)} bottles"),
        ):
            outcomes += resume_all(context, records, options.backend)
    code = 0
    for outcome in outcomes:
        if outcome.error is None:
            sys.stdout.write(f"{outcome.slug}: {outcome.text}\n")
        else:
            selection.complain(outcome.slug, outcome.error)
            code = code or outcome.error.exit_code
    for slug in stopped:
        text = "was stopped by you and stays so; `bottlemux resume` with its name brings it back"
        sys.stdout.write(f"{slug}: {text}\n")
    if not outcomes and not stopped:
        sys.stdout.write("there is no bottle to bring back\n")
    return code, any(outcome.error is None for outcome in outcomes)
