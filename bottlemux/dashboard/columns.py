"""A bottle as cells of a table, and which columns there is room for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bottlemux.screens.lines import fit, fit_middle
from bottlemux.text import age, printable, size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bottlemux.dashboard.board import Row
    from sidecars.supervise.proposal import Proposal

_NOTE_WIDTH = 14
_MARK_WIDTH = 2
_SLUG_WIDTHS = (10, 28)
_AGENT_WIDTH = 14
_ID_LENGTH = 6  # a dash and five characters: what tells bottles of one agent apart
# For these the reason is nothing but the age in other words.
_SELF_EXPLAINING = frozenset({"idle", "working", "starting"})


@dataclass(frozen=True)
class Column:
    """A column of fixed width; where there is no room for all, those of the highest ``drop`` go, those of 0 stay."""

    heading: str
    width: int
    text: Callable[[Row], str]
    drop: int
    right: bool = False


def _cpu(row: Row) -> str:
    percent = row.status.cpu_percent
    return "-" if percent is None else f"{percent:.0f}%"


def _number(count: int) -> str:
    return "-" if count == 0 else str(count) if count < 1000 else f"{count // 1000}k"


def note(row: Row) -> str:
    """Return what the bottle waits for, or what is wrong with it."""
    if row.asks:
        return f"{'asked for' if row.status.ended else 'wants'} {_request(row.asks[0])}"
    return "" if row.status.state in _SELF_EXPLAINING else printable(row.status.reason)


def _request(proposal: Proposal) -> str:
    """Return the gist of what is asked for, what tells one from another first; it is shown whole elsewhere."""
    if proposal.kind == "egress":
        return printable(str(proposal.request.get("host")))
    from bottlemux.approvals.showing import request_text

    return request_text(proposal)


_AGENT = Column("AGENT", _AGENT_WIDTH, lambda row: row.status.agent, 6)
_FIXED = (
    Column("AGE", 4, lambda row: age(row.status.since), 2, right=True),
    Column("CPU", 5, _cpu, 4, right=True),
    Column("MEM", 5, lambda row: size(row.status.memory_bytes), 5, right=True),
    Column("BLOCK", 5, lambda row: _number(row.status.blocked), 3, right=True),
    Column("ASKS", 4, lambda row: _number(row.status.open_proposals), 1, right=True),
)


class Table:
    """The columns for a width, in cells, and for the slugs to show. ``mark`` is that of a state."""

    def __init__(self, rows: Sequence[Row], width: int, mark: Callable[[str], str]) -> None:
        longest = max((len(row.slug) for row in rows), default=0)
        slug = max(_SLUG_WIDTHS[0], min(longest, _SLUG_WIDTHS[1], width // 4))
        columns = [_state_column(mark), _slug_column(slug), _AGENT, *_FIXED]
        for column in sorted(columns, key=lambda column: -column.drop):
            if column.drop and _taken(columns) + _NOTE_WIDTH > width:
                columns.remove(column)
        self._columns = columns
        self._note = max(0, width - _taken(columns))

    def heading(self) -> str:
        """Return the line above the rows."""
        cells = [f"{_aligned(column, column.heading)} " for column in self._columns]
        return "".join(cells) + fit("WAITS FOR", self._note)

    def cells(self, row: Row) -> list[str]:
        """Return the row's cells, each as wide as its column; together they are as wide as the table."""
        cells = [_aligned(column, column.text(row)) + " " for column in self._columns]
        return [*cells, fit(note(row), self._note - 1)] if self._note > 0 else cells


def _state(row: Row, mark: Callable[[str], str]) -> str:
    # Who asks waits for the operator, whatever else it does.
    shown = mark("waiting") if row.asks and row.needs_me else mark(row.status.state)
    return f"{fit(shown, _MARK_WIDTH)} {row.status.state}"


def _state_column(mark: Callable[[str], str]) -> Column:
    return Column(f"{'':{_MARK_WIDTH}} STATE", 11, lambda row: _state(row, mark), 0)


def _slug_column(width: int) -> Column:
    return Column("BOTTLE", width, lambda row: fit_middle(row.slug, width, _ID_LENGTH), 0)


def _taken(columns: Sequence[Column]) -> int:
    return sum(column.width + 1 for column in columns)


def _aligned(column: Column, text: str) -> str:
    return text.rjust(column.width) if column.right else fit(text, column.width)
