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

_EVERYWHERE = ("palette", "start", "approve", "apply-layout")
_NOT_HERE = frozenset({"go"})
_SEPARATOR = ""


def menu_command(context: Context, seat: Seat) -> list[str]:
    """Return the ``display-menu`` for the pane in front; what does not apply is in it too, grey and with why."""
    subject = _subject(context, seat)
    title = f" {seat.slug or 'bottlemux'} "
    command = ["display-menu", "-c", seat.client, "-t", seat.pane, "-T", literal(title)]
    keys = keys_of_actions(context)
    for _heading, actions in grouped(_offered(subject)) if subject else ():
        for action in actions:
            command += _item(context, action, subject, keys.get(action.name, ""))
        command.append(_SEPARATOR)
    for name in _EVERYWHERE:
        action = find_action(name)
        command += _item(context, action, Subject(action.kind, seat=seat), keys.get(name, ""))
    return command


def _subject(context: Context, seat: Seat) -> Subject | None:
    from bottlemux.state.liveness import is_alive

    if not seat.slug:
        return None
    return Subject("bottle", seat.slug, alive=is_alive(context.paths.bottle(seat.slug)), seat=seat)


def _offered(subject: Subject) -> list[Action]:
    return [action for action in actions_of(subject.kind) if action.name not in _NOT_HERE]


def _item(context: Context, action: Action, subject: Subject | None, key: str) -> Iterator[str]:
    reason = action.applies(subject) if subject is not None else None
    # tmux greys out what begins with a hyphen.
    yield literal(f"-{action.label} ({reason})" if reason else action.label)
    yield "" if reason else key
    # The menu expands formats once, and what it runs does so again: that time is the one that counts.
    yield literal(to_source([tmux_command(context, action)]).strip())
