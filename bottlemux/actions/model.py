"""What an action is: something a person may do with a bottle, an agent, or the workspace as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.lifecycle.context import Context
    from bottlemux.lifecycle.planning import StartRequest

type Kind = Literal["agent", "bottle", "workspace"]


class Subject(NamedTuple):
    """What an action is about, with the facts that decide whether it applies.

    ``name`` is an agent or a slug, empty for the workspace. ``alive`` says whether the bottle
    runs, ``None`` as long as nobody has looked; ``blocked`` why nothing can be started.
    """

    kind: Kind
    name: str = ""
    alive: bool | None = None
    request: StartRequest | None = None
    blocked: str = ""


@dataclass(frozen=True)
class GoTo:
    """Bring the person to the window of ``slug``, or to the workspace as it was left."""

    slug: str | None = None


@dataclass(frozen=True)
class Become:
    """Give the terminal to ``argv``."""

    argv: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """Text for the person. It may hold what an agent wrote: escape it before it reaches a terminal."""

    text: str


type Outcome = GoTo | Become | Told


@dataclass(frozen=True)
class Prepared:
    """An action that was decided but not begun: ``carry_out`` does exactly what ``text`` shows.

    With an empty ``question`` there is nothing to confirm.
    """

    carry_out: Callable[[], Outcome]
    text: str = ""
    question: str = ""


@dataclass(frozen=True)
class Action:
    """One thing a person can do. ``keys`` are tmux key names, for a key table of our own.

    ``applies`` returns why the action is not possible, ``None`` if it is; it only reads the subject and is
    called for every row of a list. ``prepare`` looks at the machine, may take long and raises a
    ``BottlemuxError``; it makes nothing.
    """

    name: str
    title: str
    help: str
    keys: tuple[str, ...]
    kind: Kind
    applies: Callable[[Subject], str | None]
    prepare: Callable[[Context, Subject], Prepared]

    def run(self, context: Context, subject: Subject) -> Outcome:
        """Prepare and carry out without a question: for callers who have asked already."""
        return self.prepare(context, subject).carry_out()
