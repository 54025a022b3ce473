"""The bottles as the dashboard lists them: order, selection, filter. It knows no screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bottlemux.lifecycle.status import BottleStatus
    from sidecars.supervise.proposal import Proposal

_NEEDS_ME = frozenset({"waiting", "broken"})
_ENDED = frozenset({"finished", "exited"})


class Row(NamedTuple):
    """One bottle, and what its agent asks for, the oldest first; ``output_at`` is when its window last had output."""

    status: BottleStatus
    asks: tuple[Proposal, ...] = ()
    output_at: int = 0

    @property
    def slug(self) -> str:
        """The bottle's identity."""
        return self.status.slug

    @property
    def news(self) -> tuple[object, ...]:
        """What makes it worth looking at the bottle closely once more."""
        status = self.status
        asks = tuple(ask.id for ask in self.asks)
        return self.slug, status.state, status.reason, status.blocked, status.services, asks, self.output_at

    @property
    def needs_me(self) -> bool:
        """Whether the bottle waits for the operator."""
        return self.status.state in _NEEDS_ME or (bool(self.asks) and not self.status.ended)

    @property
    def rank(self) -> int:
        """Where it is listed: those that need the operator first, those that ended last."""
        return 0 if self.needs_me else 2 if self.status.state in _ENDED else 1


class Board:
    """The rows and which one is selected. The selection sticks to a bottle, wherever new facts move it."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.query = ""
        self.selected = ""
        self._ask = ""

    def know(self, rows: Iterable[Row], *, settled: bool = True) -> None:
        """Take new facts. Unless ``settled``, rows keep their places: nothing moves under a hand that is busy."""
        place = {row.slug: number for number, row in enumerate(self.rows)}
        last = len(place)
        if settled:
            self.rows = sorted(rows, key=lambda row: (row.rank, row.slug))
        else:
            self.rows = sorted(rows, key=lambda row: (place.get(row.slug, last), row.slug))
        self._reselect()

    @property
    def shown(self) -> list[Row]:
        """The rows that match the filter."""
        words = self.query.lower().split()
        return [row for row in self.rows if all(word in _text(row) for word in words)]

    @property
    def current(self) -> Row | None:
        """The selected row."""
        return next((row for row in self.shown if row.slug == self.selected), None)

    @property
    def index(self) -> int:
        """The place of the selected row among those shown."""
        return next((n for n, row in enumerate(self.shown) if row.slug == self.selected), 0)

    @property
    def proposal(self) -> Proposal | None:
        """What is asked for in the selected row: the one that was chosen, else the oldest."""
        row = self.current
        if row is None or not row.asks:
            return None
        return next((ask for ask in row.asks if ask.id == self._ask), row.asks[0])

    @property
    def waiting(self) -> list[Row]:
        """All rows that need the operator, whatever the filter says."""
        return [row for row in self.rows if row.needs_me]

    def search(self, query: str) -> None:
        """Show only what matches every word of ``query``."""
        self.query = query
        self._reselect()

    def select(self, slug: str) -> None:
        """Select the bottle ``slug``."""
        self.selected, self._ask = slug, ""

    def move(self, steps: int) -> None:
        """Select another row, stopping at the ends."""
        shown = self.shown
        if shown:
            self.select(shown[min(max(self.index + steps, 0), len(shown) - 1)].slug)

    def next_proposal(self) -> bool:
        """Select what is asked for next, over all bottles shown, round and round; ``False`` if nothing is."""
        every = [(row.slug, ask.id) for row in self.shown for ask in row.asks]
        if not every:
            return False
        proposal = self.proposal
        here = (self.selected, proposal.id) if proposal is not None else None
        at = every.index(here) if here in every else -1
        self.selected, self._ask = every[(at + 1) % len(every)]
        return True

    def _reselect(self) -> None:
        shown = self.shown
        if shown and self.current is None:
            self.select(shown[0].slug)


def _text(row: Row) -> str:
    status: Sequence[str] = (row.slug, row.status.agent, row.status.state, row.status.backend)
    return " ".join(status).lower()
