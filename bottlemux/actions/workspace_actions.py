"""What can be done with agents, and with the workspace as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.actions.conditions import always, seated, startable
from bottlemux.actions.model import Action, Become, Done, GoTo, Outcome, Prepared, Told
from bottlemux.errors import UsageError

if TYPE_CHECKING:
    from bottlemux.actions.model import Subject
    from bottlemux.lifecycle.context import Context


def _start(context: Context, subject: Subject) -> Prepared:
    from bottlemux.lifecycle.planning import StartRequest, plan_start

    planned = plan_start(context, subject.request or StartRequest(agent=subject.name))

    def carry_out() -> Outcome:
        from bottlemux.lifecycle.running import start

        return GoTo(start(context, planned))

    shown: list[str] = []
    planned.print(shown.append)
    return Prepared(carry_out, "".join(shown), "Start it?")


def _attach(context: Context, _subject: Subject) -> Prepared:
    def carry_out() -> Outcome:
        from bottlemux.lifecycle.attaching import prepare_workspace

        prepare_workspace(context)
        return GoTo(context.workspace.dashboard.landing())

    return Prepared(carry_out)


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


def _keys(context: Context, _subject: Subject) -> Prepared:
    def carry_out() -> Outcome:
        from bottlemux.actions.keytable import cheat_sheet

        return Told("\n".join(cheat_sheet(context)))

    return Prepared(carry_out)


def _bind_keys(context: Context, _subject: Subject) -> Prepared:
    from bottlemux.actions import binding

    there = binding.installed(context)
    if there is not None:
        name = binding.spoken(there.table, there.key)

        def undo() -> Outcome:
            return Told("\n".join(binding.uninstall(context)))

        text = f"{name} opens bottlemux's keys; this puts back what it did before"
        return Prepared(undo, text, "Unbind it?")
    name = binding.spoken(*binding.leader(context))

    def carry_out() -> Outcome:
        made = binding.install(context)
        lost = f"\nuntil unbound, {name} no longer does: {made.before.line}" if made.before.line else ""
        return Told(f"{name} opens bottlemux's keys; {name} ? shows them{lost}")

    text = (
        f"binds {name} in this tmux server to bottlemux's own keys, until it is unbound or the server ends\n"
        "(for every server: bottlemux keys install --conf)"
    )
    return Prepared(carry_out, text, "Bind it?")


def _palette(context: Context, subject: Subject) -> Prepared:
    seat = (
        []
        if subject.seat is None
        else [f"--{name}={value}" for name, value in subject.seat._asdict().items()]
    )
    argv = context.quick_argv("palette", "--here", *seat)
    return Prepared(lambda: Become(tuple(argv)))


def _menu(context: Context, subject: Subject) -> Prepared:
    from bottlemux.actions.menu import menu

    seat = subject.seat
    if seat is None:
        raise UsageError("there is no tmux client to show a menu on")
    command, height = menu(context, seat)

    def carry_out() -> Outcome:
        server = context.workspace.server
        (lines,) = server.batch([["display-message", "-p", "-c", seat.client, "#{client_height}"]])
        if int(lines) < height:
            return Told(f"too low for the menu ({height} lines): the palette has it all")
        server.batch([command])
        return Done()

    return Prepared(carry_out)


WORKSPACE_ACTIONS = (
    Action("palette", "palette", "Show everything there is to do.", ("p",), "workspace", always, _palette, "go",
           "terminal", in_lists=False),
    Action("menu", "menu", "Show a menu for the bottle in front of you.", ("m",), "workspace", seated, _menu, "go",
           "quiet", in_lists=False),
    Action("start", "start", "Start the agent in a new bottle.", ("n",), "agent", startable, _start, "work"),
    Action("attach", "attach", "Go to the workspace; open the windows of bottles that have none.", ("W",),
           "workspace", always, _attach, "go"),
    Action("status", "status", "Show how all bottles are doing.", ("s",), "workspace", always, _status, "look"),
    Action("keys", "keys", "Show bottlemux's keys in tmux.", ("?",), "workspace", always, _keys, "look"),
    Action("bind-keys", "bind keys", "Bind a tmux key to all of bottlemux's keys, or undo that exactly.", (),
           "workspace", always, _bind_keys, "machine"),
    Action("doctor", "doctor", "Say what works on this machine and how to mend the rest.", ("D",), "workspace",
           always, _doctor, "machine"),
    Action("cleanup", "cleanup", "List, then remove, what no live bottle owns.", ("C",), "workspace", always,
           _cleanup, "machine"),
)  # fmt: skip
