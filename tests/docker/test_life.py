"""Containers that others stop or remove, and what is left of bottles on an engine."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from docker import APIClient
from docker.errors import APIError

from backends.docker import images, recovery, removal, walls
from backends.docker.endpoint import find_endpoint
from backends.docker.engine import Engine
from bottlemux.errors import BottlemuxError, NotFoundError, UnavailableError, UsageError
from tests.backends.world import WRITES_AT_THE_END, running, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .conftest import World

pytestmark = pytest.mark.docker


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, check=True, timeout=60).stdout.decode()


def things() -> list[str]:
    containers = docker("ps", "-a", "--format", "{{.Names}}").split()
    networks = docker("network", "ls", "--format", "{{.Name}}").split()
    volumes = docker("volume", "ls", "-q").split()
    return sorted({*containers, *networks, *volumes} - {"bottlemux-outside"})


def test_nothing_is_left_on_the_engine(world: World) -> None:
    before = things()
    with world.launch() as bottle:
        assert [name for name in things() if bottle.identity in name] != []
    assert things() == before


@pytest.mark.parametrize("how", ["by the socket", "by the library"])
def test_its_lock_is_held_until_its_programs_have_ended(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "by the library":
        monkeypatch.setattr(removal, "_remove_by_socket", lambda *_: False)
    bottle = world.launch()
    with running(bottle, WRITES_AT_THE_END), ThreadPoolExecutor(1) as pool:
        closing = pool.submit(bottle.close)
        until(lambda: not world.is_alive(bottle.identity), "its lock is free")
        assert (world.paths.bottle(bottle.identity).home / "written").exists()
        closing.result()
    assert [name for name in things() if bottle.identity in name] == []


def test_its_image_does_not_say_how_it_ends(world: World) -> None:
    spec = world.spec()
    spec.files.dockerfile.write_text("ARG BOTTLE_IMAGE\nFROM ${BOTTLE_IMAGE}\nSTOPSIGNAL SIGKILL\n")
    bottle = world.launch(world.backend.prepare(spec))
    image = spec.files.image.read_text()
    assert docker("image", "inspect", "-f", "{{.Config.StopSignal}}", image) == "SIGKILL\n"
    try:
        with running(bottle, WRITES_AT_THE_END):
            bottle.close()
        assert (spec.files.home / "written").exists()
    finally:
        bottle.close()
        docker("rmi", "-f", image)


@pytest.mark.parametrize("how", ["by the socket", "by the library"])
def test_one_that_cannot_be_stopped_is_removed(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def refuse(*_: object, **_options: object) -> None:
        raise APIError("cannot stop it")

    monkeypatch.setattr(APIClient, "stop", refuse)
    if how == "by the library":
        monkeypatch.setattr(removal, "_remove_by_socket", lambda *_: False)
    else:
        ask = removal._ask

        def ask_all_else(path: Path, method: str, what: str, body: str = "") -> int:
            return 500 if "/stop" in what else ask(path, method, what, body)

        monkeypatch.setattr(removal, "_ask", ask_all_else)
    bottle = world.launch()
    bottle.close()
    assert [name for name in things() if bottle.identity in name] == []
    assert not world.is_alive(bottle.identity)


def test_who_looks_at_one_that_is_ending_ends_nothing(world: World) -> None:
    bottle = world.launch()
    docker("kill", f"bottlemux-{bottle.identity}")
    with pytest.raises(NotFoundError, match="does not run"):
        world.backend.find(bottle.identity)
    assert world.is_alive(bottle.identity)
    assert world.paths.bottle(bottle.identity).runtime.is_dir()
    world.backend.end(bottle.identity)
    assert not world.is_alive(bottle.identity)
    assert [name for name in things() if bottle.identity in name] == []


@pytest.mark.parametrize("which", ["", "-sidecars"], ids=["agent", "sidecars"])
@pytest.mark.parametrize("how", [["stop", "-t", "1"], ["rm", "-f"]], ids=lambda words: words[0])
def test_it_is_brought_back(world: World, which: str, how: list[str]) -> None:
    spec = world.spec()
    bottle = world.launch(world.backend.prepare(spec))
    bottle.exec("echo kept > ~/note")
    docker(*how, f"bottlemux-{bottle.identity}{which}")
    with pytest.raises(NotFoundError):
        world.backend.find(bottle.identity)
    world.backend.end(bottle.identity)
    again = world.launch(world.backend.prepare(replace(spec, resumed=True)))
    assert again.exec("cat ~/note").stdout == "kept\n"


def test_one_whose_process_1_is_called_otherwise_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In gVisor that is the sandbox, with a command line of its own."""
    bottle = world.launch()
    monkeypatch.setattr(recovery, "is_process", lambda *_: False)
    assert world.backend.find(bottle.identity).exec("echo in").stdout == "in\n"
    docker("rm", "-f", f"bottlemux-{bottle.identity}")
    with pytest.raises(NotFoundError):
        world.backend.find(bottle.identity)


def test_one_that_lost_its_sidecars_is_told_before_it_is_brought_back(world: World) -> None:
    spec = world.spec()
    bottle = world.launch(world.backend.prepare(spec))
    with running(bottle, WRITES_AT_THE_END):
        docker("rm", "-f", f"bottlemux-{bottle.identity}-sidecars")
        until(lambda: not world.is_alive(bottle.identity), "its lock is free")
        again = world.launch(world.backend.prepare(replace(spec, resumed=True)))
    assert again.exec("cat ~/written").stdout == "written\n"


def test_cleanup_tells_one_that_lost_its_sidecars(world: World) -> None:
    bottle = world.launch()
    with running(bottle, WRITES_AT_THE_END):
        docker("rm", "-f", f"bottlemux-{bottle.identity}-sidecars")
        until(lambda: not world.is_alive(bottle.identity), "its lock is free")
        world.backend.cleanup(world.backend.prepare_cleanup())
    assert (world.paths.bottle(bottle.identity).home / "written").exists()
    assert [name for name in things() if bottle.identity in name] == []


@pytest.mark.skipif(os.getuid() != 0, reason="only for a root operator are there walls to build")
def test_nothing_enters_it_while_its_walls_are_built(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that joins a container as the engine halts it would halt too, and the engine then waits for it."""
    build, refusals = walls.build, list[BottlemuxError]()
    plan = world.plan()

    def build_and_enter(process: int, trees: Sequence[walls.Tree]) -> None:
        starting = world.backend.find(plan.spec.identity)
        for enter in (lambda: starting.exec("true"), lambda: starting.claude_argv(["true"])):
            with pytest.raises(BottlemuxError) as caught:
                enter()
            refusals.append(caught.value)
        build(process, trees)

    monkeypatch.setattr(walls, "build", build_and_enter)
    bottle = world.launch(plan)
    assert [error.message for error in refusals] == [f"{bottle.identity} is still starting"] * 2
    assert bottle.exec("echo in").stdout == "in\n"


def test_cleanup_finds_what_lost_its_sidecars_and_nothing_else(world: World) -> None:
    dead, alive = world.launch(), world.launch()
    docker("rm", "-f", f"bottlemux-{dead.identity}-sidecars")
    until(lambda: not world.is_alive(dead.identity), "its lock is free")
    plan = world.backend.prepare_cleanup()
    lines = "\n".join(world.backend.describe_cleanup(plan))
    assert f"container bottlemux-{dead.identity}\n" in lines + "\n"
    assert f"network bottlemux-{dead.identity}" in lines
    assert alive.identity not in lines
    world.backend.cleanup(plan)
    assert [name for name in things() if dead.identity in name] == []
    assert alive.exec("echo alive").stdout == "alive\n"


def test_an_engine_that_fails_half_way_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from backends.docker import containers

    def broken(*_: object) -> None:
        raise BottlemuxError("the engine went away")

    monkeypatch.setattr(containers, "create_agent", broken)
    before = things()
    with pytest.raises(BottlemuxError, match="went away"):
        world.launch()
    assert things() == before


def test_an_image_that_lacks_what_a_bottle_needs_is_refused(world: World, tmp_path: Path) -> None:
    base = os.environ.get("BOTTLEMUX_BASE_IMAGE", "debian:stable-slim")
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\nRUN true\n")
    world.write_bottle("dev", f"image: {tmp_path}")
    before = things()
    try:
        with pytest.raises(UsageError, match="lacks git"):
            world.launch()
        world.write_bottle("dev", "image: no-such-image:1")
        with pytest.raises(UsageError, match="no image 'no-such-image:1'"):
            world.launch()
        (tmp_path / "Dockerfile").write_text(f"FROM {base}\nRUN echo the reason; exit 3\n")
        world.write_bottle("dev", f"image: {tmp_path}")
        with pytest.raises(BottlemuxError, match="the reason"):
            world.launch()
    finally:
        world.write_bottle("dev", "")
    assert things() == before


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        ("unix:///nowhere/docker.sock", "no Docker engine runs"),
        ("tcp://127.0.0.1:1", "nothing listens there"),
    ],
    ids=["no socket", "nobody listens"],
)
def test_an_engine_that_is_not_there(endpoint: str, text: str) -> None:
    with pytest.raises(UnavailableError, match=text):
        Engine(endpoint).check()


def test_a_tag_follows_from_the_content(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM a\n")
    first = images.directory_source(tmp_path).tag
    assert images.directory_source(tmp_path).tag == first
    (tmp_path / "more").write_text("x")
    assert images.directory_source(tmp_path).tag != first


def test_a_program_of_the_context_stays_one(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM a\n")
    (tmp_path / "run").write_text("#!/bin/sh\n")
    plain = images.directory_source(tmp_path)
    (tmp_path / "run").chmod(0o755)
    source = images.directory_source(tmp_path)
    assert source.tag != plain.tag
    with tarfile.open(fileobj=io.BytesIO(source.archive())) as archive:
        assert [(one.name, one.mode) for one in archive] == [("Dockerfile", 0o644), ("run", 0o755)]


def test_another_base_is_another_image(tmp_path: Path) -> None:
    """Whoever names a base gets it; whoever names none takes what was built."""
    base = os.environ.get("BOTTLEMUX_BASE_IMAGE", "debian:stable-slim")
    (tmp_path / "Dockerfile").write_text("ARG BASE_IMAGE=none\nFROM ${BASE_IMAGE}\n")
    engine, source, said = Engine(find_endpoint()), images.directory_source(tmp_path), list[str]()
    other = "bottlemux-test-base:1"
    docker("tag", base, other)
    try:
        for wanted, built in ((base, 1), (base, 1), (other, 2), ("", 2)):
            images.ensure(engine, source, said.append, images.BuildOptions(base_image=wanted))
            assert len([line for line in said if line.startswith("building")]) == built, wanted
    finally:
        docker("rmi", "-f", source.tag, other)


def test_cleanup_removes_the_image_of_a_bottle_that_is_gone(world: World) -> None:
    spec = world.spec()
    files, base = spec.files, os.environ.get("BOTTLEMUX_BASE_IMAGE", "debian:stable-slim")
    text = f"ARG BOTTLE_IMAGE\nFROM {base}\nLABEL of={spec.identity}\n"
    files.dockerfile.write_text(text)
    image = world.backend.build(world.backend.prepare(spec), text, lambda _line: None)
    line = f"image {image} of a bottle that is gone"
    assert line not in world.backend.describe_cleanup(world.backend.prepare_cleanup())
    files.dockerfile.unlink()
    plan = world.backend.prepare_cleanup()
    assert line in world.backend.describe_cleanup(plan)
    world.backend.cleanup(plan)
    assert docker("images", "-q", image) == ""
