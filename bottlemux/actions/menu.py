"""A tmux menu of what can be done with the bottle in front of the person, made from the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.actions.catalogue import actions_of, find_action, grouped
from bottlemux.actions.keytable import keys_of_actions, tmux_command
from bottlemux.actions.model import Subject
from bottlemux.session.building import literal
from bottlemux.session.commands import to_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bottlemux.actions.model import Action, Seat
    from bottlemux.lifecycle.context import Context

_EVERYWHERE = {
    "palette": "everything",
    "start": "start an agent",
    "approve": "what agents ask for",
    "apply-layout": "arrange the window",
}
_NOT_HERE = frozenset({"go"})
_SEPARATOR = ""


def menu_command(context: Context, seat: Seat) -> list[str]:
    """Return the ``display-menu`` for the pane in front; what does not apply is in it too, grey and with why."""
    subject = _subject(context, seat)
    title = f" {seat.slug or 'bottlemux'} "
    command = ["display-menu", "-c", seat.client, "-t", seat.pane, "-T", literal(title)]
    keys = keys_of_actions(context)
    if subject is not None:
        for _heading, actions in grouped(_offered(subject)):
            for action in actions:
                command += _item(context, action, subject, keys.get(action.name, ""))
            command.append(_SEPARATOR)
    for name, text in _EVERYWHERE.items():
        command += _entry(context, find_action(name), text, keys.get(name, ""))
    return command


def _subject(context: Context, seat: Seat) -> Subject | None:
    from bottlemux.state.liveness import is_alive

    if not seat.slug:
        return None
    return Subject("bottle", seat.slug, alive=is_alive(context.paths.bottle(seat.slug)), seat=seat)


def _offered(subject: Subject) -> list[Action]:
    return [action for action in actions_of(subject.kind) if action.name not in _NOT_HERE]


def _item(context: Context, action: Action, subject: Subject, key: str) -> Iterator[str]:
    reason = action.applies(subject)
    # tmux greys out what begins with a hyphen.
    text = f"-{action.label} ({reason})" if reason else action.label
    return _entry(context, action, text, "" if reason else key)


def _entry(context: Context, action: Action, text: str, key: str) -> Iterator[str]:
    yield literal(text)
    yield key
    # The menu expands formats once, and what it runs does so again: that time is the one that counts.
    yield literal(to_source([tmux_command(context, action)]).strip())
