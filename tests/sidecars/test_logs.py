"""Which line of a log says why its program ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sidecars.logs import Log

if TYPE_CHECKING:
    from pathlib import Path

TRACEBACK = """\
Traceback (most recent call last):
  File "x.py", line 1, in <module>
    import nothing
ModuleNotFoundError: No module named 'nothing'
"""
RAISED = "ModuleNotFoundError: No module named 'nothing'"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", ""),
        ("one\ntwo\n\n", "two"),
        ("sh: 1: exec: python: not found\n---\n", "sh: 1: exec: python: not found"),
        (TRACEBACK, RAISED),
        (TRACEBACK + "  a note of it\nFor more see https://example.com\n", RAISED),
        (TRACEBACK.replace("ModuleNotFound", "Import") + TRACEBACK, RAISED),
        ("  | ExceptionGroup: several\n    | ValueError: why\n    +------\n", "ValueError: why"),
    ],
    ids=["empty", "last", "letters", "traceback", "notes", "chained", "group"],
)  # fmt: skip
def test_the_cause(tmp_path: Path, text: str, cause: str) -> None:
    log = Log.from_now(tmp_path / "log")
    log.path.write_text(text)
    assert log.cause() == cause


def test_what_an_earlier_run_has_left_is_no_cause(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(TRACEBACK)
    log = Log.from_now(path)
    assert log.cause() == ""
    with path.open("a") as stream:
        stream.write("killed\n")
    assert log.cause() == "killed"


def test_a_log_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert Log.from_now(tmp_path / "none").cause() == ""
