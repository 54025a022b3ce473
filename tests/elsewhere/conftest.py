"""One operator's world on an engine that is reached over ssh, and the means to take the network away."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from tests.backends.world import World

from . import engines

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[engines.Sshd]:
    """The ssh server; all contexts are known meanwhile."""
    directory = tmp_path_factory.mktemp("engines")
    with pytest.MonkeyPatch.context() as patch, engines.contexts(directory, patch) as server:
        yield server


@pytest.fixture(scope="session")
def far_world(network: engines.Sshd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world-far"), f"docker@{engines.SSH}")
    yield made
    made.close()


@pytest.fixture
def world(far_world: World, network: engines.Sshd) -> Iterator[World]:
    far_world.bottles = []
    far_world.name = secrets.token_hex(4)
    yield far_world
    if network.process is None:
        network.start()
    far_world.close()
