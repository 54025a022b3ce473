"""Giving the whole session a layout: the preflights, one question for all, and what came of each."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from bottlemux.cli import console
from bottlemux.errors import BottlemuxError, UsageError

if TYPE_CHECKING:
    from bottlemux.lifecycle.context import Context
    from bottlemux.lifecycle.sessions import Part, SessionPlan
    from bottlemux.session.layout_files import LayoutFile


def arrange_session(context: Context, file: LayoutFile, *, yes: bool, close: bool = False) -> int | None:
    """Start what ``file`` names, once the operator agrees, and arrange all windows; return the exit code.

    Without a yes nothing is started and nothing moved, and ``None`` returned. The first failure decides the exit code.
    """
    from bottlemux.lifecycle.attaching import open_missing
    from bottlemux.lifecycle.sessions import carry_out, plan_session
    from bottlemux.lifecycle.warming import warm_up
    from bottlemux.session.workspace import DEFAULT_SIZE

    open_missing(context, size=shutil.get_terminal_size(DEFAULT_SIZE))
    plan = plan_session(context, file)
    code = 0
    for part in plan.failed:
        code = _failed(part, part.problem, code)
    if plan.starting:
        if not _agreed(plan, yes=yes):
            sys.stderr.write("nothing was started\n")
            return None
        warm_up(context)

    def report(part: Part, outcome: str | BottlemuxError) -> None:
        nonlocal code
        if isinstance(outcome, BottlemuxError):
            code = _failed(part, outcome, code)
        else:
            sys.stderr.write(f"{outcome}: started\n")

    with console.progress(f"starting {len(plan.starting)} agents"):
        slugs = carry_out(context, plan, report, close=close)
    for slug in slugs:
        sys.stdout.write(f"{slug}: now in layout {file.name}\n")
    sys.stdout.flush()
    return code


def _agreed(plan: SessionPlan, *, yes: bool) -> bool:
    console.write_columns(plan.text())
    sys.stdout.flush()
    if yes and plan.untrusted:
        # A yes that was typed beforehand is for a file the operator knows; this one the agent may have written.
        sys.stderr.write(f"{plan.file.path} is the project's own: --yes does not hold for it\n")
    if yes and not plan.untrusted:
        return True
    try:
        return console.confirm(plan.question)
    except UsageError:
        if plan.untrusted:
            raise UsageError(
                f"{plan.file.path} is the project's own: it starts nothing without a question",
                hint="run this in a terminal, or copy the file to your own layouts, once you have read it",
            ) from None
        raise


def _failed(part: Part, error: BottlemuxError | None, code: int) -> int:
    """Say what failed; return the exit code of the first failure."""
    from bottlemux.text import printable

    assert error is not None  # noqa: S101 - the caller has looked
    hint = f" ({printable(error.hint.splitlines()[0])})" if error.hint else ""
    sys.stderr.write(f"bottlemux: error: {part.name}: {printable(error.message)}{hint}\n")
    return code or error.exit_code
