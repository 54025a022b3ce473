"""The three kinds of page the palette shows: a list to choose from, a text to read or confirm, and waiting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bottlemux.palette.rows import arrange

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bottlemux.palette.rows import Row, Shown


class Other(NamedTuple):
    """What Tab does: in a few words, and the doing."""

    words: str
    act: Callable[[], None]


@dataclass
class ListPage:
    """Rows to filter and choose from. ``rows`` is asked again whenever something new is known.

    The selection sticks to a row, wherever new facts move it: nobody chooses what was not under the mark.
    ``about`` is what the whole page is about, for the preview; on a ``free`` page what is typed filters nothing.
    ``other`` is what Tab does with a row that can be chosen; ``empty`` is said where there are no rows at all.
    ``widest`` is how long the longest title is, also of rows that what is typed hides: columns stay where they are.
    """

    title: str
    rows: Callable[[str], Sequence[Row]]
    choose: Callable[[Row], None]
    recent: Sequence[str] = ()
    query: str = ""
    shown: Sequence[Shown] = ()
    selected: int = 0
    touched: bool = False
    about: Row | None = None
    free: bool = False
    other: Other | None = None
    empty: str = "there is nothing to choose from"
    widest: int = 0

    def refresh(self) -> None:
        """Make the list anew, keeping the selected row selected if it is still there."""
        current = self.current
        self._arrange()
        if current is not None:
            keys = [shown.row.key for shown in self.shown]
            self.selected = keys.index(current.key) if current.key in keys else 0

    def search(self, query: str) -> None:
        """Show what matches ``query``, the best match selected."""
        self.query, self.selected, self.touched = query, 0, True
        self._arrange()

    def move(self, steps: int) -> None:
        """Select another row; a single step goes round at the ends."""
        self.touched = True
        if not self.shown:
            return
        target = self.selected + steps
        last = len(self.shown) - 1
        self.selected = target % (last + 1) if abs(steps) == 1 else min(max(target, 0), last)

    @property
    def current(self) -> Row | None:
        """The selected row."""
        return self.shown[self.selected].row if self.shown else None

    @property
    def chosen(self) -> Sequence[Row]:
        """What Enter goes on with: nothing, where the selected row cannot be chosen."""
        row = self.current
        return [row] if row is not None and not row.disabled else []

    @property
    def prompt(self) -> str:
        """The first task typed behind the agent's name."""
        return self.query.partition(":")[2].strip()

    def _arrange(self) -> None:
        wanted = "" if self.free else self.query.partition(":")[0]
        rows = self.rows(self.query)
        self.widest = max((len(row.title) for row in rows), default=0)
        self.shown = arrange(rows, wanted, self.recent)
        self.selected = min(self.selected, max(0, len(self.shown) - 1))


class MarkPage(ListPage):
    """A list of which several rows can be chosen: those that are marked, else the selected one.

    Marks stay while what is typed hides their rows.
    """

    marked: frozenset[str] = frozenset()

    def mark(self) -> None:
        """Mark the selected row, or no longer, and go on to the next one."""
        row = self.current
        if row is not None and not row.disabled:
            self.marked ^= {row.key}
            self.move(1)

    def mark_all(self) -> None:
        """Mark all rows that are shown; none of them if all are marked already."""
        shown = {item.row.key for item in self.shown if not item.row.disabled}
        self.marked = self.marked - shown if shown <= self.marked else self.marked | shown

    @property
    def chosen(self) -> Sequence[Row]:
        """The rows that were chosen."""
        if not self.marked:
            return super().chosen
        return [row for row in self.rows("") if row.key in self.marked and not row.disabled]


@dataclass
class TextPage:
    """Text, and a question if there is something to decide; ``answer`` is called on yes."""

    title: str
    text: str
    question: str = ""
    answer: Callable[[], None] | None = None
    top: int = 0
    unseen: int | None = None
    """How many lines at the end were on no screen yet, once it was drawn; written by whoever draws."""

    def move(self, steps: int) -> None:
        """Scroll by lines."""
        self.top = max(self.top + steps, 0)


@dataclass
class BusyPage:
    """Something goes on that can be left only when it has ended; then nothing is half made.

    With ``can_leave`` it only looks, and can be left at any time.
    """

    title: str
    can_leave: bool = False


type Page = ListPage | TextPage | BusyPage
