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
    selection.add_slugs(parser, everything="every bottle that has ended or lost its window or program")
    parser.add_argument("--backend", metavar="B", help="bring it back on another backend")
    parser.add_argument("--dry-run", action="store_true", help="print what would come back and make nothing")
    parser.add_argument("-d", "--detach", action="store_true", help="do not go to the window")
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Bring the bottles back, then go to the one that was named last."""
    from bottlemux.lifecycle.running import resume

    def bring_back(identity: str) -> str:
        record = context.store.load(identity)
        if options.dry_run:
            return _preview(context, record, options.backend)
        with console.progress(f"resuming {record.identity}"):
            return resume(context, record, options.backend)

    code = selection.for_each(context, options, bring_back)
    if code or options.dry_run or options.detach or options.all or not console.is_interactive():
        return code
    last = context.store.resolve_prefix(options.slugs[-1])
    return console.become(context.workspace.attach_argv(last))


def _preview(context: Context, record: Metadata, backend: str | None) -> str:
    from bottlemux.lifecycle.planning import plan_resume
    from bottlemux.state.liveness import is_alive

    if is_alive(context.paths.bottle(record.identity)):
        return "runs; its window and program would be mended where needed"
    plan_resume(context, record, backend).plan.print(sys.stdout.write)
    return "would be started again"
