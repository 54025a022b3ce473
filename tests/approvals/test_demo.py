"""The demo asks its operator for a host by one command, and what is decided is what it then can do."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.world import World, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    user = World(tmp_path / "user")
    yield user
    user.close()


@pytest.mark.parametrize(
    ("decision", "said", "code"),
    [(("approve",), "active", 0), (("reject", "--reason", "not today"), "rejected: not today", 1)],
    ids=["approved", "rejected"],
)
def test_the_demo_asks_and_is_answered(world: World, decision: tuple[str, ...], said: str, code: int) -> None:
    slug = world.start("demo")
    asking = subprocess.Popen(
        world.argv("exec", slug, "--", "bottlemux-demo", "ask", "example.com"), cwd=world.project,
        env=world.environ, stdout=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    listed = until(lambda: world.run("approvals", "list"), "the proposal")
    assert "GET,HEAD https://example.com:443 any path" in listed
    world.run("approvals", decision[0], listed.split("\t")[0], *decision[1:])
    printed, _ = asking.communicate(timeout=60)
    assert printed.splitlines()[1:] == [said]
    assert asking.returncode == code
