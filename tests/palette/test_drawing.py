from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottlemux.palette.drawing import PageControl, PreviewControl, draw_row
from bottlemux.palette.pages import ListPage, Page, TextPage
from bottlemux.palette.previews import Preview
from bottlemux.palette.rows import Row, Shown

HOSTILE = "\x1b]0;pwned\x07\x9b2J\u202egnp\u2028\ttab\rback"


def preview_lines(preview: Preview, width: int = 80, height: int = 20) -> list[str]:
    content = PreviewControl(lambda: preview).create_content(width, height)
    return ["".join(part[1] for part in content.get_line(number)) for number in range(content.line_count)]


def page_lines(page: Page, width: int = 80, height: int = 20) -> list[str]:
    content = PageControl(lambda: page).create_content(width, height)
    return ["".join(part[1] for part in content.get_line(number)) for number in range(content.line_count)]


def is_plain(text: str) -> bool:
    return all(letter == " " or unicodedata.category(letter)[0] not in {"C", "Z"} for letter in text)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(preview_lines(Preview(head=HOSTILE)), id="preview"),
        pytest.param(preview_lines(Preview(tail=HOSTILE)), id="what-an-agent-shows"),
        pytest.param(preview_lines(Preview(drawing=lambda _rows: [HOSTILE])), id="drawing"),
        pytest.param(page_lines(TextPage("", HOSTILE, "Go?")), id="text"),
        pytest.param(
            [
                "".join(
                    part[1]
                    for part in draw_row(Shown(Row("agent", "a", "a", HOSTILE)), selected=True, width=90)
                )
            ],
            id="detail",
        ),
        pytest.param(
            [
                "".join(
                    part[1]
                    for part in draw_row(Shown(Row("agent", "a", "a", "", HOSTILE)), selected=True, width=90)
                )
            ],
            id="reason",
        ),
    ],
)
def test_hostile_text_is_escaped(lines: list[str]) -> None:
    text = "".join(lines)
    assert "pwned" in text
    assert "\\u202e" in text
    assert is_plain(text)


def test_the_preview_keeps_its_head_and_shows_the_end_of_a_screen() -> None:
    tail = "\n".join(f"line {number}" for number in range(100))
    lines = preview_lines(Preview("working: busy\nbubblewrap", tail), height=5)
    assert lines == ["working: busy", "bubblewrap", "line 97", "line 98", "line 99"]


def test_a_drawing_gets_the_room_below_the_head() -> None:
    preview = Preview("solo (shipped)", drawing=lambda rows: [f"row {number}" for number in range(rows)])
    assert preview_lines(preview, height=4) == ["solo (shipped)", "row 0", "row 1", "row 2"]


@pytest.mark.parametrize(
    ("query", "said"), [("", "no agent asks for anything"), ("x", "nothing matches")], ids=["empty", "typed"]
)
def test_an_empty_list_says_why(query: str, said: str) -> None:
    page = ListPage("", lambda _query: [], lambda _row: None, query=query, empty="no agent asks for anything")
    page.refresh()
    assert page_lines(page)[0].strip() == said


def test_details_begin_behind_the_longest_title_and_stay_there() -> None:
    rows = [Row("action", title, title, f"about {title}") for title in ("stop", "resume it")]
    page = ListPage("", lambda _query: rows, lambda _row: None)
    page.refresh()
    assert [line.rstrip() for line in page_lines(page)] == [
        "> stop       about stop",
        "  resume it  about resume it",
    ]
    page.search("stop")
    assert [line.rstrip() for line in page_lines(page)] == ["> stop       about stop"]


@pytest.mark.parametrize("height", [1, 2, 5])
def test_the_question_stays_in_sight(height: int) -> None:
    page = TextPage("", "\n".join(str(number) for number in range(50)), "Start it?")
    lines = page_lines(page, height=height)
    assert len(lines) == height
    assert lines[-1] == "Start it? [y/N]"


@given(st.integers(1, 60), st.lists(st.sampled_from([1, -1, 10, -10]), max_size=30), st.integers(1, 12))
def test_the_selected_row_stays_in_sight(count: int, moves: list[int], height: int) -> None:
    rows = [Row("agent", f"a{number}", f"a{number}") for number in range(count)]
    page = ListPage("", lambda _query: rows, lambda _row: None)
    page.refresh()
    control = PageControl(lambda: page)
    for steps in moves:
        page.move(steps)
        content = control.create_content(30, height)
        lines = [
            "".join(part[1] for part in content.get_line(number)) for number in range(content.line_count)
        ]
        assert len(lines) <= height
        assert page.current is not None
        assert next(line for line in lines if line.startswith("> ")).split()[1] == page.current.title
