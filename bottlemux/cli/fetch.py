"""``bottlemux fetch``."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from bottlemux.cli import console

if TYPE_CHECKING:
    import argparse

    from bottlemux.lifecycle.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument("slug", metavar="SLUG", help="a bottle with a clone, running or ended")
    parser.add_argument("--force", action="store_true", help="replace the branch where the agent rewrote it")
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Bring the agent's commits into the project's repository as the branch ``bottlemux/SLUG``."""
    from bottlemux.lifecycle.changes import fetch
    from bottlemux.text import printable

    record = context.store.load(context.store.resolve_prefix(options.slug))
    with console.progress("fetching"):
        fetched = fetch(context, record, force=options.force)
    count = console.counted(len(fetched.commits), "new commit")
    sys.stdout.write(f"{fetched.branch} is at {fetched.commit[:12]}: {count}\n")
    for line in fetched.commits:
        sys.stdout.write(f"  {printable(line)}\n")
    if fetched.commits:
        console.remark(printable(f"next: {shlex.join(_merge(context, record.cwd, fetched.branch))}"))
    return 0


def _merge(context: Context, directory: str, branch: str) -> list[str]:
    place = [] if str(context.cwd) == directory else ["-C", directory]
    return ["git", *place, "merge", branch]
