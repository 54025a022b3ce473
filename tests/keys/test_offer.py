from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.world import World, until
from tests.session.conftest import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.tmux

_OFFER = b"bottlemux keys install: prefix b opens"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    user = World(tmp_path / "user")
    yield user
    user.close()


def _attach(world: World) -> Terminal:
    made = Terminal(world.argv("attach"), world.environ, (100, 24))
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
