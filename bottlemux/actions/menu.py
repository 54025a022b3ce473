"""A tmux menu of what can be done with the bottle in front of the person, made from the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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
_SEPARATOR = ("",)
_FRAME = 2


class Menu(NamedTuple):
    """A ``display-menu``, and how many lines it takes: of a terminal with fewer tmux shows nothing at all."""

    command: list[str]
    height: int


def menu(context: Context, seat: Seat) -> Menu:
    """Return the menu for the pane in front; what does not apply is in it too, grey and with why."""
    title = literal(f" {seat.slug or 'bottlemux'} ")
    command = ["display-menu", "-c", seat.client, "-t", seat.pane, "-T", title]
    items = list(_items(context, seat))
    return Menu([*command, *(word for item in items for word in item)], len(items) + _FRAME)


def _items(context: Context, seat: Seat) -> Iterator[tuple[str, ...]]:
    subject = _subject(context, seat)
    keys = keys_of_actions(context)
    if subject is not None:
        for _heading, actions in grouped(_offered(subject)):
            for action in actions:
                yield _item(context, action, subject, keys.get(action.name, ""))
            yield _SEPARATOR
    for name, text in _EVERYWHERE.items():
        yield _entry(context, find_action(name), text, keys.get(name, ""))


def _subject(context: Context, seat: Seat) -> Subject | None:
    from bottlemux.state.liveness import is_alive

    if not seat.slug:
        return None
    return Subject("bottle", seat.slug, alive=is_alive(context.paths.bottle(seat.slug)), seat=seat)


def _offered(subject: Subject) -> list[Action]:
    return [action for action in actions_of(subject.kind) if action.name not in _NOT_HERE]


def _item(context: Context, action: Action, subject: Subject, key: str) -> tuple[str, ...]:
    reason = action.applies(subject)
    # tmux greys out what begins with a hyphen.
    text = f"-{action.label} ({reason})" if reason else action.label
    return _entry(context, action, text, "" if reason else key)


def _entry(context: Context, action: Action, text: str, key: str) -> tuple[str, ...]:
    # The menu expands formats once, and what it runs does so again: that time is the one that counts.
    return literal(text), key, literal(to_source([tmux_command(context, action)]).strip())
