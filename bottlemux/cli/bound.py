"""What keys and menus in tmux call for an action that needs no page. It speaks through tmux only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError
from bottlemux.text import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from bottlemux.actions.model import Action, Outcome, Seat, Subject
    from bottlemux.lifecycle.context import Context


def add_actions(add_parser: Callable[[str], argparse.ArgumentParser]) -> None:
    """Add ``act`` to the actions of ``keys``; no help lists it."""
    act = add_parser("act")
    act.add_argument("action")
    add_seat(act)
    act.set_defaults(run=_act)


def add_seat(parser: argparse.ArgumentParser) -> None:
    """Add the options by which a key says where it was pressed; no help lists them."""
    import argparse

    for name in ("--client", "--pane", "--slug"):
        parser.add_argument(name, default="", help=argparse.SUPPRESS)


def seat_of(options: argparse.Namespace) -> Seat | None:
    """Return where a key was pressed, ``None`` for a command that was typed."""
    from bottlemux.actions.model import Seat

    return Seat(options.client, options.pane, options.slug) if options.client and options.pane else None


def _act(context: Context, options: argparse.Namespace) -> int:
    from bottlemux.actions.catalogue import find_action

    seat = seat_of(options)
    if seat is None:
        from bottlemux.errors import UsageError

        raise UsageError("keys call this, with the client and the pane they were pressed in")
    try:
        return _finish(context, seat, _run(context, find_action(options.action), seat))
    except BottlemuxError as error:
        return _tell(context, seat, f"{error.message}{f' - {error.hint}' if error.hint else ''}")


def _run(context: Context, action: Action, seat: Seat) -> Outcome:
    from bottlemux.actions.model import Told

    subject = subject_before(context, action, seat)
    if subject is None:
        return Told("this is no bottle's window")
    reason = action.applies(subject)
    return Told(f"{action.label}: {reason}") if reason else action.run(context, subject)


def subject_before(context: Context, action: Action, seat: Seat) -> Subject | None:
    """Return what ``action`` is about for somebody who sits there; ``None`` where a bottle is wanted and none is."""
    from bottlemux.actions.model import Subject
    from bottlemux.state.liveness import is_alive

    if action.kind != "bottle":
        return Subject(action.kind, seat=seat)
    if not seat.slug or seat.slug not in context.store.identities():
        return None
    return Subject("bottle", seat.slug, alive=is_alive(context.paths.bottle(seat.slug)), seat=seat)


def _finish(context: Context, seat: Seat, outcome: Outcome) -> int:
    from bottlemux.actions.model import GoTo, Told

    if isinstance(outcome, GoTo) and outcome.slug is not None:
        window = context.workspace.require(outcome.slug)
        context.workspace.server.batch([["switch-client", "-c", seat.client, "-t", window.window_id]])
    elif isinstance(outcome, Told):
        return _tell(context, seat, outcome.text)
    return 0


def _tell(context: Context, seat: Seat, text: str) -> int:
    from bottlemux.session.publishing import show_message

    show_message(context.workspace.server, seat.client, printable(text.partition("\n")[0]))
    return 0
