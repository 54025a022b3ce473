"""What an action is: something a person may do with a bottle, an agent, or the workspace as a whole.

The values are named tuples: that the palette opens at once is worth more than what data classes could do besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.lifecycle.context import Context
    from bottlemux.lifecycle.planning import StartRequest
    from bottlemux.manifest.loader import LayoutOrigin

_LEADING_OVER = frozenset({"of", "in", "from", "to", "as"})

type Kind = Literal["agent", "bottle", "workspace", "proposal", "layout"]
type Group = Literal["go", "look", "work", "decide", "arrange", "end", "machine"]

GROUPS: dict[Group, str] = {
    "go": "Moving",
    "look": "Looking",
    "work": "Agents at work",
    "decide": "What agents ask for",
    "arrange": "Windows and layouts",
    "end": "Ending",
    "machine": "This machine",
}
"""The groups of actions with their headings, in the order in which they are shown."""


class Seat(NamedTuple):
    """Where the person sits in tmux: the client, the pane in front of it (``%7``), and that pane's bottle, if any."""

    client: str
    pane: str
    slug: str = ""


class Subject(NamedTuple):
    """What an action is about, with the facts that decide whether it applies.

    ``name`` is an agent, a slug, a proposal's id or a layout, empty for the workspace; ``names`` are the slugs where
    several bottles were chosen at once, or the one whose window gets a layout. ``alive`` says whether the bottle
    runs, ``None`` as long as nobody has looked; ``blocked`` why nothing can be started. ``typed`` is what the person
    wrote where the action asks for it; ``seat`` is ``None`` outside the workspace's tmux; ``origin`` says whose a
    layout is.
    """

    kind: Kind
    name: str = ""
    alive: bool | None = None
    request: StartRequest | None = None
    blocked: str = ""
    typed: str = ""
    seat: Seat | None = None
    names: tuple[str, ...] = ()
    origin: LayoutOrigin | None = None


class GoTo(NamedTuple):
    """Bring the person to the window of ``slug``, or to the workspace as it was left.

    ``done`` tells who stays where they are what was done.
    """

    slug: str | None = None
    done: str = "done"


class Become(NamedTuple):
    """Give the terminal to ``argv``."""

    argv: tuple[str, ...]


class Told(NamedTuple):
    """Text for the person. It may hold what an agent wrote: escape it before it reaches a terminal."""

    text: str


class Done(NamedTuple):
    """There is nothing to say, and nowhere to go."""


type Outcome = GoTo | Become | Told | Done


class Prepared(NamedTuple):
    """An action that was decided but not begun: ``carry_out`` does exactly what ``text`` shows.

    With an empty ``question`` there is nothing to confirm.
    """

    carry_out: Callable[[], Outcome]
    text: str = ""
    question: str = ""


class Typed(NamedTuple):
    """What an action wants typed before it is prepared: ``label`` says what; one that is ``optional`` may be empty."""

    label: str
    optional: bool = False


type Manner = Literal["page", "terminal", "quiet"]


class Action(NamedTuple):
    """One thing a person can do. ``keys`` are tmux key names; the first is its key in our table and the dashboard.

    ``applies`` returns why the action is not possible, ``None`` if it is; it only reads the subject and is
    called for every row of a list. ``prepare`` looks at the machine, may take long and raises a
    ``BottlemuxError``; it makes nothing.

    ``manner`` says what a key of it needs: a ``page`` to ask and tell on, the whole ``terminal`` at once, or nothing
    but a line at the bottom (``quiet``). One that makes sense by its key alone is not ``in_lists``; one about bottles
    that takes ``several`` at once lets them be marked.
    """

    name: str
    title: str
    help: str
    keys: tuple[str, ...]
    kind: Kind
    applies: Callable[[Subject], str | None]
    prepare: Callable[[Context, Subject], Prepared]
    group: Group = "look"
    manner: Manner = "page"
    typed: Typed | None = None
    in_lists: bool = True
    several: bool = False

    @property
    def key(self) -> str:
        """The key it is bound to unless the person chose another one; empty for none."""
        return self.keys[0] if self.keys else ""

    @property
    def label(self) -> str:
        """The title without what leads over to a name behind it: ``logs`` of ``logs of``."""
        words, _, last = self.title.rpartition(" ")
        return words if words and last in _LEADING_OVER else self.title

    def run(self, context: Context, subject: Subject) -> Outcome:
        """Prepare and carry out without a question: for callers who have asked already."""
        return self.prepare(context, subject).carry_out()
