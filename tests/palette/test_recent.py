from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bottlemux.palette.recent import load_recent, note_recent

if TYPE_CHECKING:
    from bottlemux.lifecycle.context import Context


def test_the_newest_is_first_and_once(context: Context) -> None:
    for key in ("agent:a", "agent:b", "agent:a"):
        note_recent(context.paths, key)
    assert load_recent(context.paths) == ["agent:a", "agent:b"]
    assert context.paths.recent.stat().st_mode & 0o777 == 0o600


def test_the_file_stays_small(context: Context) -> None:
    for number in range(80):
        note_recent(context.paths, f"agent:{number}")
    assert len(load_recent(context.paths)) == 50


@pytest.mark.parametrize("content", ["", "{", '{"a": 1}', "3", "[1, null]", "[" * 10_000], ids=str.__len__)
def test_nonsense_is_no_error(context: Context, content: str) -> None:
    context.paths.state.mkdir(parents=True)
    context.paths.recent.write_text(content)
    assert load_recent(context.paths) == []


def test_a_state_directory_that_cannot_be_made_is_no_error(context: Context) -> None:
    context.paths.state.write_text("a file")
    note_recent(context.paths, "agent:a")
    assert load_recent(context.paths) == []
