from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottlemux.palette.fuzzy import match
from bottlemux.palette.rows import Row, arrange


@pytest.mark.parametrize(
    ("query", "text", "matches"),
    [
        pytest.param("", "start demo", True, id="nothing-typed"),
        pytest.param("demo", "start demo", True, id="a-word"),
        pytest.param("DEMO", "start demo", True, id="case"),
        pytest.param("sd", "start demo", True, id="initials"),
        pytest.param("demo start", "start demo", True, id="words-in-any-order"),
        pytest.param("omed", "start demo", False, id="letters-in-another-order"),
        pytest.param("start x", "start demo", False, id="one-word-missing"),
    ],
)
def test_what_matches(query: str, text: str, matches: bool) -> None:
    assert (match(query, text) is not None) is matches


@pytest.mark.parametrize(
    ("query", "best", "other"),
    [
        pytest.param("stop", "stop demo", "start top", id="whole-before-scattered"),
        pytest.param("demo", "start demo", "start xdemox", id="word-before-part"),
        pytest.param("sd", "start demo", "resides", id="initials-before-inside"),
        pytest.param("demo", "start demo", "go to demo-00001", id="end-of-title-before-more"),
    ],
)
def test_what_comes_first(query: str, best: str, other: str) -> None:
    found = arrange([Row("action", other, other), Row("action", best, best)], query, [])
    assert [shown.row.title for shown in found] == [best, other]


def test_recent_rows_come_first_and_break_ties() -> None:
    rows = [Row("agent", name, f"start {name}") for name in ("aa", "ab", "ac")]
    assert [shown.row.name for shown in arrange(rows, "", ["agent:ac", "agent:ab"])] == ["ac", "ab", "aa"]
    assert [shown.row.name for shown in arrange(rows, "a", ["agent:ac"])] == ["ac", "aa", "ab"]


@given(st.text(max_size=20), st.text(max_size=60))
def test_positions_are_those_of_the_letters(query: str, text: str) -> None:
    found = match(query, text)
    if found is not None:
        assert list(found[1]) == sorted(set(found[1]))
        assert all(0 <= position < len(text.lower()) for position in found[1])
