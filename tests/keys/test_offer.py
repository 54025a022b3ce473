from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bottlemux.actions.binding import with_offer
from bottlemux.lifecycle.context import Context
from bottlemux.paths import Paths
from tests.e2e.world import World, until
from tests.session.conftest import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.tmux

_OFFER = b"bottlemux keys install: prefix b opens everything"
_COMMAND = Path(sys.executable).with_name("bottlemux")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    user = World(tmp_path / "user")
    yield user
    user.close()


def _attach(world: World) -> Terminal:
    made = Terminal(world.argv("attach"), world.environ, (200, 24))
    until(lambda: made.read(0.02) and "bottlemux" in world.tmux("list-clients"), "a client")
    return made


def test_attach_offers_the_keys_until_there_are_some(world: World) -> None:
    first = _attach(world)
    try:
        until(lambda: _OFFER in first.read(0.02), "the offer")
        world.run("keys", "install")
    finally:
        first.close()
    second = _attach(world)
    try:
        until(lambda: b"[bottlemux" in second.read(0.02), "the status line")
        assert _OFFER not in second.read(0.5)
    finally:
        second.close()


def test_the_offer_is_a_command_that_a_shell_finds(tmp_path: Path) -> None:
    def offer(path: str, home: str) -> str:
        paths = Paths(tmp_path / "config", tmp_path / "state", tmp_path / "run")
        environ = {"PATH": path, "HOME": home, "TMUX_TMPDIR": str(tmp_path)}
        return with_offer(Context(paths, environ, tmp_path), ["attach"])[-1].partition(" keys install: ")[0]

    assert offer(f"/usr/bin:{_COMMAND.parent}", "/") == "bottlemux"
    assert offer("/usr/bin:/bin", str(tmp_path)) == str(_COMMAND)
    assert offer("/usr/bin:/bin", "/") == str(_COMMAND)
    assert (
        offer("/usr/bin:/bin", str(_COMMAND.parents[2])) == f"~/{_COMMAND.relative_to(_COMMAND.parents[2])}"
    )
