"""What can be done with agents, and with the workspace as a whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bottlemux.actions.conditions import always, startable
from bottlemux.actions.model import Action, GoTo, Outcome, Prepared, Told

if TYPE_CHECKING:
    from bottlemux.actions.model import Subject
    from bottlemux.lifecycle.context import Context

_UNKNOWN_SIZE = (200, 50)


def _start(context: Context, subject: Subject) -> Prepared:
    from bottlemux.lifecycle.planning import StartRequest, plan_start

    planned = plan_start(context, subject.request or StartRequest(agent=subject.name))

    def carry_out() -> Outcome:
        from bottlemux.lifecycle.running import start

        return GoTo(start(context, planned))

    shown: list[str] = []
    planned.plan.print(shown.append)
    return Prepared(carry_out, "".join(shown), "Start it?")


def _attach(context: Context, _subject: Subject) -> Prepared:
    def carry_out() -> Outcome:
        from bottlemux.lifecycle.attaching import prepare_workspace

        prepare_workspace(context, size=_terminal_size())
        return GoTo()

    return Prepared(carry_out)


def _terminal_size() -> tuple[int, int]:
    try:
        columns, rows = os.get_terminal_size()
    except OSError:
        return _UNKNOWN_SIZE
    return columns, rows


def _status(context: Context, _subject: Subject) -> Prepared:
    def carry_out() -> Outcome:
        from bottlemux.actions.report import describe_all

        return Told(describe_all(context))

    return Prepared(carry_out)


def _doctor(context: Context, _subject: Subject) -> Prepared:
    def carry_out() -> Outcome:
        from bottlemux.actions.report import describe_machine

        return Told(describe_machine(context))

    return Prepared(carry_out)


def _cleanup(context: Context, _subject: Subject) -> Prepared:
    from bottlemux.lifecycle.cleaning import find_leftovers

    leftovers, failures = find_leftovers(context)
    warnings = [f"could not look everywhere: {failure}" for failure in failures]
    if not leftovers:
        return Prepared(lambda: Told("\n".join(["nothing to clean up", *warnings])))

    def carry_out() -> Outcome:
        for leftover in leftovers:
            leftover.remove()
        return Told(f"removed {len(leftovers)}")

    text = "\n".join([*warnings, *(leftover.description for leftover in leftovers)])
    return Prepared(carry_out, text, "Remove all of it?")


WORKSPACE_ACTIONS = (
    Action("start", "start", "Start the agent in a new bottle.", ("n",), "agent", startable, _start),
    Action("attach", "attach", "Go to the workspace; open the windows of bottles that have none.", ("w",),
           "workspace", always, _attach),
    Action("status", "status", "Show how all bottles are doing.", ("t",), "workspace", always, _status),
    Action("doctor", "doctor", "Say what works on this machine and how to mend the rest.", ("D",), "workspace",
           always, _doctor),
    Action("cleanup", "cleanup", "List, then remove, what no live bottle owns.", ("C",), "workspace", always,
           _cleanup),
)  # fmt: skip
