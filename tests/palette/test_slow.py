"""Engines that take seconds to answer, or never do: the palette is there at once, and rows fill in."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from .conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bottlemux.lifecycle.context import Context

    from .conftest import Screen

pytestmark = pytest.mark.tmux

BACKEND = """
import time
from backends.contract import Availability
class Slow:
    name, workspaces = "slow", ("mount",)
    def is_available(self):
        open({began!r}, "w").close()
        time.sleep({seconds})
        return Availability({available}, "the engine is down", "start it")
    def variants(self):
        return ()
    def enumerate_active(self):
        time.sleep({seconds})
        return []
def create(paths):
    return Slow()
"""


def distribution(directory: Path, **values: object) -> str:
    """Make a distribution with a slow backend; return what PYTHONPATH has to be."""
    information = directory / "slow_backend-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-backend\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[bottlemux.backends]\nslow = slow_backend:create\n")
    code = BACKEND.format(began=str(directory / "began"), **values)
    (directory / "slow_backend.py").write_text(code)
    return str(directory)


@pytest.mark.parametrize(
    ("available", "answer"), [(True, "available"), (False, "(the engine is down)")], ids=["works", "down"]
)
def test_an_answer_after_five_seconds_fills_its_row(
    screen: Callable[..., Screen], context: Context, tmp_path: Path, available: bool, answer: str
) -> None:
    path = distribution(tmp_path / "site", seconds=5, available=available)
    one = screen((80, 24))
    one.run([sys.executable, "-m", "bottlemux", "palette", "--here"], cwd=context.cwd, PYTHONPATH=path)
    one.shows("start demo")
    until((tmp_path / "site" / "began").exists)
    one.type("start demo")
    one.keys("Enter")
    text = one.shows("start demo / backend")
    row = next(line for line in text.splitlines() if " slow " in line)
    assert "still looking" in row
    one.keys("Down")
    one.shows("> bubblewrap")
    until(lambda: any(" slow " in line and answer in line for line in one.text().splitlines()), one.text)
    assert "> bubblewrap" in one.text()
    one.keys("C-c")
    assert one.dead() == "0"


def test_one_that_never_answers_keeps_nobody_from_choosing_another(
    screen: Callable[..., Screen], context: Context, tmp_path: Path
) -> None:
    path = distribution(tmp_path / "site", seconds=1000, available=True)
    one = screen((80, 24))
    one.run([sys.executable, "-m", "bottlemux", "palette", "--here"], cwd=context.cwd, PYTHONPATH=path)
    one.shows("start demo")
    one.type("start demo")
    one.keys("Enter")
    one.shows("start demo / backend")
    one.type("bubble")
    one.shows("> bubblewrap")
    one.keys("Enter")
    one.shows("start demo / workspace")
    one.keys("Escape", "C-c")
    assert one.dead() == "0"
