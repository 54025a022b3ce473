"""All actions. A new one is added to one of the tuples below and appears everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.actions.bottle_actions import BOTTLE_ACTIONS
from bottlemux.actions.layout_actions import LAYOUT_ACTIONS
from bottlemux.actions.model import GROUPS
from bottlemux.actions.moving_actions import MOVING_ACTIONS
from bottlemux.actions.proposal_actions import PROPOSAL_ACTIONS
from bottlemux.actions.workspace_actions import WORKSPACE_ACTIONS
from bottlemux.errors import unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bottlemux.actions.model import Action, Kind

CATALOGUE: tuple[Action, ...] = (
    *MOVING_ACTIONS,
    *BOTTLE_ACTIONS,
    *PROPOSAL_ACTIONS,
    *LAYOUT_ACTIONS,
    *WORKSPACE_ACTIONS,
)

_BY_NAME = {action.name: action for action in CATALOGUE}


def find_action(name: str) -> Action:
    """Return the action ``name``; a ``NotFoundError`` lists the known ones."""
    if name not in _BY_NAME:
        raise unknown_name("action", name, list(_BY_NAME))
    return _BY_NAME[name]


def actions_of(kind: Kind) -> tuple[Action, ...]:
    """Return the actions about one kind of subject, in the order in which they are offered."""
    return tuple(action for action in CATALOGUE if action.kind == kind)


def grouped(actions: Sequence[Action]) -> Iterator[tuple[str, list[Action]]]:
    """Yield the heading of each group that ``actions`` has members of, with these."""
    for group, heading in GROUPS.items():
        members = [action for action in actions if action.group == group]
        if members:
            yield heading, members
