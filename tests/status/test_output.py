"""What counts as output of an agent whose program reports nothing: what it shows, not that somebody looks at it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.world import World, until
from tests.session.conftest import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.tmux

BACKENDS = [
    pytest.param("bubblewrap", marks=pytest.mark.bwrap),
    pytest.param("docker", marks=pytest.mark.docker),
]


@pytest.fixture(params=BACKENDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    user = World(tmp_path)
    if request.param == "docker":
        user.use_engine()
    user.manifest("bottles", "quiet", f"backend: {request.param}\nsupervise: false")
    user.manifest("agents", "shell", "bottle: quiet\nprogram: [bash, --norc]")
    yield user
    user.close()


def idle_since(world: World, slug: str) -> str:
    until(lambda: world.status(slug)["state"] == "idle", "quiet")
    return str(world.status(slug)["since"])


def look_at(world: World, slug: str) -> None:
    world.tmux("select-window", "-t", next(line.split()[0] for line in windows(world) if slug in line))


def windows(world: World) -> list[str]:
    return world.tmux("list-windows", "-t", "bottlemux", "-F", "#{window_id} #{@bottlemux_slug}").splitlines()


def test_looking_is_no_output(world: World, attach: Callable[[World], Terminal]) -> None:
    one, other = world.start("shell"), world.start("shell")
    since = idle_since(world, one)
    look_at(world, other)
    look_at(world, one)
    assert (world.status(one)["state"], world.status(one)["since"]) == ("idle", since)
    attach(world)  # of another size: all is drawn again
    time.sleep(1)
    assert (world.status(one)["state"], world.status(one)["since"]) == ("idle", since)


def test_what_it_shows_is(world: World) -> None:
    slug = world.start("shell")
    idle_since(world, slug)
    world.tmux("send-keys", "-t", "bottlemux", "echo shown", "Enter")
    until(lambda: world.status(slug)["state"] == "working", "output")


def test_the_end_of_a_program_stays_when_it_was(world: World) -> None:
    one, other = world.start("shell"), world.start("shell")
    look_at(world, one)
    world.tmux("send-keys", "-t", "bottlemux", "exit", "Enter")
    until(lambda: world.status(one)["state"] == "exited", "the end")
    since = world.status(one)["since"]
    time.sleep(2)
    look_at(world, other)
    look_at(world, one)
    assert world.status(one)["since"] == since


@pytest.fixture
def attach() -> Iterator[Callable[[World], Terminal]]:
    opened: list[Terminal] = []

    def make(world: World) -> Terminal:
        opened.append(Terminal(world.argv("attach"), {**os.environ, **world.environ}, (100, 40)))
        until(lambda: world.tmux("list-clients"), "the client")
        return opened[-1]

    yield make
    for terminal in opened:
        terminal.close()
