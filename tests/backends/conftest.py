"""One operator's world a backend: the sidecars' parent is started once, every bottle is a test's own."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from backends.registry import known_backend_names
from tests.elsewhere import engines
from tests.elsewhere.conftest import network  # noqa: F401 - a fixture

from .world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKERS = {"bubblewrap": pytest.mark.bwrap, "docker": pytest.mark.docker, "smolmachines": pytest.mark.kvm}


def every_backend() -> list[object]:
    return [
        pytest.param(name, marks=MARKERS[name], id=name) for name in known_backend_names() if name in MARKERS
    ]


def every_engine() -> list[object]:
    return [
        *every_backend(),
        pytest.param(f"docker@{engines.TLS}", marks=[pytest.mark.docker, pytest.mark.sshd], id="docker@tls"),
    ]


@pytest.fixture(scope="session", params=every_engine())
def shared_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if "@" in request.param:
        request.getfixturevalue("network")
    made = World(tmp_path_factory.mktemp(f"world-{request.param}"), request.param)
    yield made
    made.close()
    made.end_zygotes()


@pytest.fixture
def world(shared_world: World, request: pytest.FixtureRequest) -> Iterator[World]:
    """Directories shared by the tests of one backend, with a project and bottles of the test's own."""
    if shared_world.is_elsewhere and request.node.get_closest_marker("mount"):
        pytest.skip("no directory of this machine can be mounted there")
    shared_world.bottles = []
    shared_world.name = secrets.token_hex(4)
    yield shared_world
    shared_world.close()


@pytest.fixture(scope="session")
def bwrap_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world-own"), "bubblewrap")
    yield made
    made.close()
    made.end_zygotes()


@pytest.fixture
def own(bwrap_world: World) -> Iterator[World]:
    """The same for tests of what only bubblewrap has."""
    bwrap_world.bottles = []
    bwrap_world.name = secrets.token_hex(4)
    yield bwrap_world
    bwrap_world.close()
