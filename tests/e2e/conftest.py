"""A user's world a test, and a Messages API for the agents in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.fake_api import HOST, FakeApi
from tests.e2e.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "user")
    yield made
    made.close()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeApi]:
    server = FakeApi(tmp_path)
    yield server
    server.close()


@pytest.fixture
def claude(world: World, api: FakeApi) -> World:
    """The user has an agent ``coder``: Claude Code, whose API is the fake one."""
    return with_coder(world, api, "bubblewrap")


def with_coder(world: World, api: FakeApi, backend: str) -> World:
    """Give the user the agent ``coder`` in a bottle of ``backend``."""
    world.manifest(
        "bottles",
        "api",
        f"""
backend: {backend}
egress:
  routes:
    - host: {HOST}
      token_ref: CLAUDE_CODE_OAUTH_TOKEN
      upstream: {api.address}
      upstream_ca: {api.ca_file}
""",
    )
    world.manifest("agents", "coder", "bottle: api\nprogram: claude", "You are the coder of these tests.")
    return world


@pytest.fixture
def shell(world: World) -> World:
    """The user has an agent ``shell``: bash in a bottle without a route."""
    world.manifest("bottles", "plain", "backend: bubblewrap")
    world.manifest("agents", "shell", "bottle: plain\nprogram: [bash, -l]")
    return world
