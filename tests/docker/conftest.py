"""One operator's world on the engine that DOCKER_HOST names; ``scripts/docker-engine up`` starts one for tests."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import pytest

from backends.docker import images, names
from backends.docker.endpoint import find_endpoint
from backends.docker.engine import Engine
from tests.backends.world import World

from . import spare as spares

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backends.contract import Bottle


@pytest.fixture(scope="session")
def docker_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world-docker"), "docker")
    yield made
    made.close()


@pytest.fixture
def world(docker_world: World) -> Iterator[World]:
    docker_world.bottles = []
    docker_world.name = secrets.token_hex(4)
    yield docker_world
    docker_world.close()


@pytest.fixture(scope="module")
def shared(docker_world: World) -> Iterator[Bottle]:
    """One bottle for tests that only look."""
    docker_world.name = secrets.token_hex(4)
    with docker_world.backend.launch(docker_world.plan()) as bottle:
        yield bottle


@pytest.fixture(scope="package")
def spare() -> Iterator[spares.Spare]:
    """An engine that may be spoilt, with the image of the sidecars. Its runtime ``runsc`` is runc by another name."""
    if os.getuid() != 0:
        pytest.skip("only root can start an engine")
    image = images.ensure(Engine(find_endpoint()), images.own_source(names.SIDECARS), lambda _line: None)
    try:
        with spares.running() as engine:
            engine.take(image)
            yield engine
    except OSError as error:
        pytest.skip(f"no engine on a disk in memory: {error}")
