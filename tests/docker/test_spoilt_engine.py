"""An engine without addresses, without room, or with the bottle's names taken: one clear line, nothing half made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from backends.docker import containers, images, names, places
from backends.docker.engine import Engine
from bottlemux.errors import BottlemuxError
from tests.backends.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .spare import Spare

pytestmark = pytest.mark.docker


@pytest.fixture
def image() -> str:
    """The image of the sidecars, which has all that a bottle needs."""
    return images.own_source(names.SIDECARS).tag


@pytest.fixture
def world(spare: Spare, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("DOCKER_HOST", spare.endpoint)
    made = World(tmp_path, "docker")
    made.write_bottle("dev", f"image: {image}")
    yield made
    made.close()
    spare.clear()


def refused(world: World, expected: str) -> None:
    """Try to launch a bottle; what is left of it is its record alone."""
    plan = world.plan()
    with pytest.raises(BottlemuxError, match=expected) as caught:
        world.launch(plan)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert not plan.spec.files.runtime.exists()
    assert not world.is_alive(plan.spec.identity)


def test_no_address_for_one_more_bottle(world: World, spare: Spare) -> None:
    first = world.launch()
    before = spare.names()
    refused(world, "cannot make the bottle's network: the engine has no free network addresses")
    assert spare.names() == before
    assert first.exec("echo alive").stdout == "alive\n"
    first.close()
    assert world.launch().exec("echo alive").stdout == "alive\n"


def test_no_address_for_any_bottle(world: World, spare: Spare) -> None:
    for name in ("taken", "too"):
        spare.docker("network", "create", name)
    refused(world, "cannot make the sidecars' network: the engine has no free network addresses")
    assert spare.names() == ["taken", "too"]


def test_somebody_is_on_a_network_of_its_name(world: World, spare: Spare, image: str) -> None:
    plan = world.plan()
    name = names.network(plan.spec.identity)
    spare.docker("network", "create", name)
    spare.docker("run", "-d", "--name", "somebody", "--network", name, "--entrypoint", "sleep", image, "60")
    try:
        with pytest.raises(
            BottlemuxError, match="cannot make the bottle's network: its name is in use"
        ) as caught:
            world.launch(plan)
        assert caught.value.hint
        assert spare.names() == sorted([name, names.OUTSIDE_NETWORK, "somebody"])
        assert spare.docker("inspect", "-f", "{{.State.Running}}", "somebody") == "true\n"
    finally:
        spare.docker("rm", "-f", "somebody")


@pytest.mark.parametrize(
    "named", [names.agent_container, names.sidecars_container], ids=["agent", "sidecars"]
)
def test_a_container_takes_its_name_meanwhile(
    world: World, spare: Spare, image: str, named: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = places.make_directories

    def make_and_take(plan: Any) -> None:
        make(plan)
        spare.docker("create", "--name", named(plan.spec.identity), image, "true")

    monkeypatch.setattr(places, "make_directories", make_and_take)
    refused(world, "container: the container's name is in use")
    assert spare.names() == [names.OUTSIDE_NETWORK]


def test_a_cleanup_takes_the_shared_network_away_meanwhile(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is on it yet, so anybody's cleanup finds it."""
    create, other = containers.create_network, World(tmp_path / "other", "docker").backend

    def create_and_clean(*arguments: Any) -> None:
        create(*arguments)
        leftovers = other.prepare_cleanup()
        assert other.describe_cleanup(leftovers) == [f"network {names.OUTSIDE_NETWORK}"]
        other.cleanup(leftovers)

    monkeypatch.setattr(containers, "create_network", create_and_clean)
    bottle = world.launch()
    assert bottle.exec("echo alive").stdout == "alive\n"
    leftovers = other.prepare_cleanup()
    assert other.describe_cleanup(leftovers) == []


def test_no_room_on_its_disk(world: World, spare: Spare, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY data /data\n")
    (tmp_path / "data").write_bytes(bytes(1 << 20))
    with spare.full_disk():
        refused(world, "the engine's disk is full")
        with pytest.raises(BottlemuxError, match="the engine's disk is full"):
            images.ensure(Engine(spare.endpoint), images.directory_source(tmp_path), lambda _line: None)
    assert set(spare.names()) <= {names.OUTSIDE_NETWORK}
    assert world.launch().exec("echo alive").stdout == "alive\n"
