"""``bottlemux palette``."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.cli import bound, console
from bottlemux.errors import BottlemuxError, UsageError

if TYPE_CHECKING:
    import argparse

    from bottlemux.actions.model import Action, Seat, Subject
    from bottlemux.lifecycle.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument("--here", action="store_true", help="stay in this terminal: open no popup")
    parser.add_argument(
        "--cwd", metavar="DIR", type=Path, help="the project directory of what is started (default: this one)"
    )
    parser.add_argument("--do", metavar="ACTION", help="show this action alone (see --list)")
    parser.add_argument(
        "--list", action="store_true", help="print every action with its key: in the palette, tmux, menus"
    )
    parser.add_argument("--json", action="store_true", help="with --list: one JSON document")
    bound.add_seat(parser)
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Show the palette, in a popup when called from a pane of the workspace's tmux; then do what was chosen."""
    # Everything imported stays: looking for garbage in it costs a tenth of the time to first paint.
    gc.disable()
    from bottlemux.palette.popup import go_argv, popup_argv

    if options.list or options.json:
        return _list(context, as_json=options.json)
    if not console.is_interactive():
        raise UsageError("the palette needs a terminal", hint="scripts use: bottlemux start, stop, list, ...")
    seat = bound.seat_of(options)
    context = dataclasses.replace(context, cwd=_directory(context, options.cwd, seat))
    words = ["--do", options.do] if options.do else []
    if not options.here and (popup := popup_argv(context, *words)) is not None:
        console.become(popup)
    first = _first(context, options.do, seat) if options.do else None
    from bottlemux.palette.rehearsal import take

    chosen = take(context, lambda slug: go_argv(context, slug, options.client or None), seat).run(first)
    if chosen is not None:
        console.become(chosen)
    return 0


def _directory(context: Context, chosen: Path | None, seat: Seat | None) -> Path:
    """Return the project: as it was given, else that of the bottle in front of the person, else the current one."""
    if chosen is not None:
        return chosen.absolute()
    if seat is not None and seat.slug:
        try:
            return Path(context.store.load(seat.slug).cwd)
        except BottlemuxError:
            return context.cwd
    return context.cwd


def _first(context: Context, name: str, seat: Seat | None) -> tuple[Action, Subject | None]:
    """Return the action to show first and what it is about; one that only needs the terminal gets it at once."""
    from bottlemux.actions.catalogue import find_action
    from bottlemux.actions.model import Become, Subject

    action = find_action(name)
    subject = Subject("workspace") if action.kind == "workspace" else None
    if seat is not None and action.kind in {"workspace", "bottle"} and not action.several:
        subject = bound.subject_before(context, action, seat)
    if subject is not None and action.manner == "terminal" and action.applies(subject) is None:
        # What fails is shown by the palette, which tries again: this popup would be gone before it is read.
        with contextlib.suppress(BottlemuxError):
            outcome = action.run(context, subject)
            if isinstance(outcome, Become):
                console.become(outcome.argv)
    return action, subject


def _list(context: Context, *, as_json: bool) -> int:
    from bottlemux.actions.catalogue import CATALOGUE
    from bottlemux.actions.keytable import keys_of_actions
    from bottlemux.actions.report import describe_actions

    if as_json:
        keys = keys_of_actions(context)
        console.write_json([_record(action, keys.get(action.name, "")) for action in CATALOGUE])
    else:
        sys.stdout.write(f"{describe_actions(context)}\n")
    return 0


def _record(action: Action, key: str) -> dict[str, str]:
    return {
        "name": action.name, "about": action.kind, "key": key, "group": action.group, "help": action.help,
    }  # fmt: skip
