"""Going on from the bottle in front of the person, without a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.actions.conditions import seated
from bottlemux.actions.model import Action, GoTo, Outcome, Prepared, Told
from bottlemux.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.actions.model import Subject
    from bottlemux.actions.moving import Direction
    from bottlemux.lifecycle.context import Context


def _going(direction: Direction, otherwise: str) -> Callable[[Context, Subject], Prepared]:
    def prepare(context: Context, subject: Subject) -> Prepared:
        seat = subject.seat
        if seat is None:
            raise UsageError("there is no window to go on from", hint="call it from the workspace's tmux")

        def carry_out() -> Outcome:
            from bottlemux.actions.moving import neighbour

            window = neighbour(context, direction, seat.pane)
            return Told(otherwise) if window is None else GoTo(window.slug)

        return Prepared(carry_out)

    return prepare


MOVING_ACTIONS = (
    Action("next-waiting", "go to who waits", "Go to the next bottle that waits for you.", ("w",), "workspace",
           seated, _going("waiting", "no bottle waits for you"), "go", "quiet"),
    Action("next", "next bottle", "Go to the next bottle.", ("j",), "workspace", seated,
           _going("next", "there is no other bottle"), "go", "quiet"),
    Action("previous", "previous bottle", "Go to the previous bottle.", ("k",), "workspace", seated,
           _going("previous", "there is no other bottle"), "go", "quiet"),
)  # fmt: skip
