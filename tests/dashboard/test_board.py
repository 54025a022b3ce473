from __future__ import annotations

import pytest
from prompt_toolkit.utils import get_cwidth

from bottlemux.dashboard.board import Board, Row
from bottlemux.dashboard.columns import Table
from bottlemux.lifecycle.status import BottleStatus
from bottlemux.screens.lines import cut, fit, fit_middle, wrapped
from bottlemux.session.naming import Naming
from sidecars.supervise.proposal import Proposal


def row(slug: str, state: str = "idle", asks: int = 0, **facts: object) -> Row:
    values: dict[str, object] = {
        "slug": slug, "agent": slug.rpartition("-")[0], "backend": "bubblewrap", "state": state, "reason": "why",
        "source": "output", "since": "2026-01-01T00:00:00Z", "open_proposals": asks, **facts,
    }  # fmt: skip
    wanted = tuple(
        Proposal(slug, "egress", {"host": f"{number}.example.com"}, "need", created_at=str(number))
        for number in range(asks)
    )
    return Row(BottleStatus(**values), wanted)  # type: ignore[arg-type]


def slugs(board: Board) -> list[str]:
    return [row.slug for row in board.shown]


def test_those_that_need_me_come_first_and_those_that_ended_last() -> None:
    board = Board()
    board.know([
        row("a-00000", "exited"), row("b-00000"), row("c-00000", "working"), row("d-00000", "waiting"),
        row("e-00000", "broken"), row("f-00000", "working", asks=1), row("g-00000", "finished"),
    ])  # fmt: skip
    assert [slug[0] for slug in slugs(board)] == list("defbcag")


def test_nobody_waits_for_what_an_ended_bottle_asked_for() -> None:
    board = Board()
    board.know([row("a-00000", "exited", asks=1), row("b-00000"), row("c-00000", "finished", asks=1)])
    assert slugs(board) == ["c-00000", "b-00000", "a-00000"]
    assert [each.slug for each in board.waiting] == ["c-00000"]
    cells = Table(board.rows, 78, Naming().mark).cells(board.rows[2])
    assert "asked for 0.example" in cells[-1]
    assert Naming().mark("waiting") not in cells[0]


def test_a_state_that_changes_nothing_for_me_moves_no_row() -> None:
    board = Board()
    board.know([row("a-00000"), row("b-00000", "working")])
    board.know([row("a-00000", "working"), row("b-00000")])
    assert slugs(board) == ["a-00000", "b-00000"]


def test_nothing_moves_under_a_busy_hand() -> None:
    board = Board()
    board.know([row("a-00000"), row("b-00000")])
    board.know([row("a-00000"), row("b-00000", "waiting"), row("0-00000", "waiting")], settled=False)
    assert slugs(board) == ["a-00000", "b-00000", "0-00000"]
    board.know([row("a-00000"), row("b-00000", "waiting"), row("0-00000", "waiting")])
    assert slugs(board) == ["0-00000", "b-00000", "a-00000"]


def test_the_selection_sticks_to_its_bottle() -> None:
    board = Board()
    board.know([row("a-00000"), row("b-00000")])
    assert board.selected == "a-00000"
    board.move(1)
    board.know([row("a-00000"), row("b-00000", "waiting")])
    assert (board.selected, board.index) == ("b-00000", 0)
    board.know([row("a-00000")])
    assert board.selected == "a-00000"
    board.know([])
    assert board.current is None


def test_moving_stops_at_the_ends() -> None:
    board = Board()
    board.move(1)
    board.know([row(f"{letter}-00000") for letter in "abc"])
    board.move(-1)
    assert board.selected == "a-00000"
    board.move(10)
    assert board.selected == "c-00000"


def test_filtering_keeps_what_matches_every_word() -> None:
    board = Board()
    board.know([row("web-00000", "working"), row("web-11111"), row("api-00000", "working")])
    board.search("web work")
    assert slugs(board) == ["web-00000"]
    board.search("nothing")
    assert board.current is None
    board.search("")
    assert len(board.shown) == 3


def test_the_next_request_goes_round_over_all_bottles() -> None:
    board = Board()
    assert not board.next_proposal()
    board.know([row("a-00000", asks=2), row("b-00000"), row("c-00000", asks=1)])
    seen = []
    for _ in range(4):
        assert board.next_proposal()
        assert board.proposal is not None
        seen.append((board.selected, board.proposal.request["host"]))
    # The first one is shown from the beginning.
    assert seen[:3] == [
        ("a-00000", "1.example.com"), ("c-00000", "0.example.com"), ("a-00000", "0.example.com"),
    ]  # fmt: skip
    assert seen[3] == seen[0]


LONG = row(
    "a-very-long-name-of-an-agent-indeed-x7k2p", "waiting", cpu_percent=1234.5, memory_bytes=3 << 30, blocked=123456,
    reason="日本語の理由 and a long reason \x1b[2J that does not fit anywhere at all", since="2020-01-01T00:00:00Z",
)  # fmt: skip


@pytest.mark.parametrize("width", [40, 60, 78, 100, 200])
def test_cells_fill_every_width_exactly(width: int) -> None:
    rows = [row("web-00000", "starting", asks=2), LONG]
    table = Table(rows, width, Naming().mark)
    assert get_cwidth(table.heading()) == width
    for each in rows:
        line = "".join(table.cells(each))
        assert get_cwidth(line) <= width
        assert each.status.state in line
        assert each.slug[-5:] in line
        assert "\x1b" not in line


def test_headings_stand_above_their_columns() -> None:
    each = row("web-00000", "idle")
    table = Table([each], 78, Naming().mark)
    line = "".join(table.cells(each))
    assert table.heading().index("STATE") == line.index("idle")
    assert table.heading().index("BOTTLE") == line.index("web-00000")


def test_what_is_cut_says_so() -> None:
    line = "".join(Table([LONG], 78, Naming().mark).cells(LONG))
    assert "...-x7k2p" in line
    assert line.rstrip().endswith("...")


def test_every_state_has_a_word_and_what_waits_a_mark() -> None:
    for state in ("starting", "working", "waiting", "idle", "finished", "exited", "broken"):
        cells = Table([row("a-00000", state)], 78, Naming().mark).cells(row("a-00000", state))
        assert state in cells[0]
    marks = {Naming().mark(state) for state in ("waiting", "broken", "working", "exited")}
    assert len(marks) == 4


@pytest.mark.parametrize("text", [
    "", "abc def ghi", "    indented words here", "x" * 25, "日本語のテキスト and more", "a 日本語日本語",
    "e\u0301" * 9,
])  # fmt: skip
@pytest.mark.parametrize("width", [2, 3, 4, 5, 8, 10, 30])
def test_lines_are_broken_without_loss(text: str, width: int) -> None:
    for breaking in (wrapped, cut):
        parts = breaking([text], width)
        assert all(get_cwidth(part) <= width for part in parts)
        assert "".join(parts).replace(" ", "") == text.replace(" ", "")
    assert get_cwidth(fit(text, width)) == width
    assert get_cwidth(fit_middle(text, width, 6)) == width
