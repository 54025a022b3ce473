"""What the bindings of our key table call: moving on, and doing an action with the bottle in front of the person.

They get ids that tmux makes, and speak through tmux only.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bottlemux.cli import console
from bottlemux.errors import BottlemuxError
from bottlemux.text import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from bottlemux.actions.model import Outcome, Subject
    from bottlemux.lifecycle.context import Context


def add_actions(add_parser: Callable[[str], argparse.ArgumentParser]) -> None:
    """Add the actions to those of ``keys``; no help lists them."""
    from bottlemux.actions.moving import DIRECTIONS

    go = add_parser("go")
    go.add_argument("direction", choices=DIRECTIONS)
    go.set_defaults(run=_go)
    popup = add_parser("popup")
    popup.add_argument("action")
    popup.set_defaults(run=_popup)
    for parser in (go, popup):
        parser.add_argument("--client", required=True)
        parser.add_argument("--pane", required=True)
    act = add_parser("act")
    act.add_argument("action")
    act.add_argument("--slug")
    act.add_argument("--client")
    act.set_defaults(run=_act)


def _go(context: Context, options: argparse.Namespace) -> int:
    from bottlemux.actions.moving import neighbour

    window = neighbour(context, options.direction, options.pane)
    if window is None:
        waiting = options.direction == "waiting"
        return _tell(
            context, options.client, "no bottle waits for you" if waiting else "there is no other bottle"
        )
    context.workspace.server.batch([["switch-client", "-c", options.client, "-t", window.window_id]])
    return 0


def _popup(context: Context, options: argparse.Namespace) -> int:
    """Open the popup in which an action on the bottle in front of the person asks and speaks."""
    from bottlemux.actions.moving import window_of_pane
    from bottlemux.session.commands import as_process

    window = window_of_pane(context, options.pane)
    if window is None:
        return _tell(context, options.client, "this is no bottle's window")
    own = context.own_argv("keys", "act", options.action, "--slug", window.slug, "--client", options.client)
    command = ["display-popup", "-c", options.client, "-t", options.pane, "-E", "-w", "80%", "-h", "80%"]
    # The client answers when the popup is closed, so it takes our place instead of being waited for.
    return console.become(context.workspace.server.argv(*command, "--", *as_process(own)))


def _tell(context: Context, client: str, text: str) -> int:
    from bottlemux.session.building import literal

    context.workspace.server.batch([["display-message", "-c", client, literal(text)]])
    return 0


def _act(context: Context, options: argparse.Namespace) -> int:
    """Do an action of the catalogue in a popup: show it, ask, do it, and keep what it says readable."""
    from bottlemux.actions.catalogue import find_action
    from bottlemux.state.liveness import is_alive

    action = find_action(options.action)
    subject = _subject(
        options.slug, alive=bool(options.slug) and is_alive(context.paths.bottle(options.slug))
    )
    if reason := action.applies(subject):
        return _say(f"not possible: {reason}")
    try:
        prepared = action.prepare(context, subject)
        _print(prepared.text)
        if prepared.question and not console.confirm(prepared.question):
            return 1
        return _finish(context, prepared.carry_out(), options.client)
    except BottlemuxError as error:
        return _say(f"{error.message}\n{error.hint}")


def _subject(slug: str | None, *, alive: bool) -> Subject:
    from bottlemux.actions.model import Subject

    return Subject("bottle", slug, alive) if slug else Subject("workspace")


def _finish(context: Context, outcome: Outcome, client: str | None) -> int:
    from bottlemux.actions.model import Become, GoTo
    from bottlemux.palette.popup import go_argv

    if isinstance(outcome, Become):
        console.become(outcome.argv)
    if isinstance(outcome, GoTo):
        console.become(go_argv(context, outcome.slug, client))
    return _say(outcome.text)


def _print(text: str) -> None:
    for line in text.splitlines():
        sys.stdout.write(printable(line) + "\n")


def _say(text: str) -> int:
    """Print ``text`` and keep the popup open until it was read."""
    _print(text)
    sys.stdout.write("\n[Enter closes this]")
    sys.stdout.flush()
    sys.stdin.readline()
    return 0
