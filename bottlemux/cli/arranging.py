"""Giving the whole session a layout: the preflights, one question for all, and what came of each."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bottlemux.cli import console
from bottlemux.cli.selection import complain
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

    for slug, problem in open_missing(context).items():
        complain(slug, problem)
    plan = plan_session(context, file)
    errors = [problem for _, problem in plan.failed]
    for part, problem in plan.failed:
        sys.stderr.write(f"{_line(part, problem)}\n")
    if plan.starting:
        if not _agreed(plan, yes=yes):
            sys.stderr.write("nothing was started\n")
            return None
        warm_up(context)

    starting = f"starting {console.counted(len(plan.starting), 'agent')}"
    with console.progress(starting if plan.starting else "arranging the windows") as say:

        def report(part: Part, outcome: str | BottlemuxError) -> None:
            if isinstance(outcome, BottlemuxError):
                errors.append(outcome)
            say(_line(part, outcome))

        slugs = carry_out(context, plan, report, close=close)
    for slug in slugs:
        sys.stdout.write(f"{slug}: now in layout {file.name}\n")
    sys.stdout.flush()
    return errors[0].exit_code if errors else 0


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


def _line(part: Part, outcome: str | BottlemuxError) -> str:
    """Return what to say of ``part``, which started as a bottle or failed."""
    from bottlemux.text import printable

    if isinstance(outcome, str):
        return f"{outcome}: started"
    hint = f" ({printable(outcome.hint.splitlines()[0])})" if outcome.hint else ""
    return f"bottlemux: error: {part.name}: {printable(outcome.message)}{hint}"
