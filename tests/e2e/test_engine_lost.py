"""A Docker engine that goes away under its bottles: nothing is lost, and one command brings all of them back."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.e2e.world import World, until

pytestmark = [pytest.mark.docker, pytest.mark.tmux]

_SCRIPT = Path(__file__).parents[2] / "scripts" / "docker-engine"
_ENGINE_TIMEOUT_S = 120


def engine(word: str) -> str:
    done = subprocess.run(
        [_SCRIPT, word], check=True, stdout=subprocess.PIPE, text=True, timeout=_ENGINE_TIMEOUT_S
    )
    return done.stdout.strip()


def docker(*words: str) -> list[str]:
    done = subprocess.run(["docker", *words], check=True, capture_output=True, text=True, timeout=60)
    return sorted(done.stdout.split())


def everything() -> tuple[list[str], ...]:
    """Return what the engine has: containers, networks, volumes."""
    return (
        docker("ps", "-a", "--format", "{{.Names}}"),
        docker("network", "ls", "--format", "{{.Name}}"),
        docker("volume", "ls", "--format", "{{.Name}}"),
    )


@pytest.fixture
def own_engine() -> Path:
    """The private engine that the tests may end; its process id's file."""
    if subprocess.run([_SCRIPT, "running"], capture_output=True, timeout=60, check=False).returncode:
        pytest.skip("the engine is not one that scripts/docker-engine started: it is not ended")
    socket = engine("up")
    if socket != os.environ.get("DOCKER_HOST"):
        pytest.skip("DOCKER_HOST is another engine than that of scripts/docker-engine: it is not ended")
    return Path(socket.removeprefix("unix://")).with_name("docker.pid")


@pytest.fixture
def two(world: World) -> list[str]:
    world.use_engine()
    world.manifest("bottles", "contained", "backend: docker")
    world.manifest("agents", "shell", "bottle: contained\nprogram: [bash, -l]")
    slugs = [world.start("shell") for _ in range(2)]
    for slug in slugs:
        world.run("exec", slug, "--", "sh", "-c", f"echo {slug} > ~/note")
    return slugs


def engine_processes(pid_file: Path, names: set[str]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name() in names and str(pid_file.parent) in " ".join(process.cmdline()):
                found.append(process)
    return found


def kill_engine(pid_file: Path) -> None:
    """Kill the engine; its containers may live on."""
    os.kill(int(pid_file.read_text()), signal.SIGKILL)


def kill_machine(pid_file: Path) -> None:
    """Kill the engine and all that it started, containers included, as a machine does that loses its power."""
    mine = engine_processes(pid_file, {"dockerd", "containerd", "containerd-shim", "containerd-shim-runc-v2"})
    for process in [*mine, *(child for each in mine for child in each.children(recursive=True))]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def start_again(pid_file: Path) -> None:
    """Start the engine once a killed one's own child has ended, which is a moment later."""
    until(lambda: not engine_processes(pid_file, {"dockerd", "containerd"}), "the end of the engine")
    engine("up")


@pytest.mark.parametrize("how", ["restarted", "killed", "powerless"])
def test_bottles_come_back_after_their_engine(
    own_engine: Path, world: World, two: list[str], how: str
) -> None:
    if how == "restarted":
        engine("down")
    elif how == "killed":
        kill_engine(own_engine)
    else:
        kill_machine(own_engine)
    try:
        if how != "killed":  # a killed engine may leave its containers running
            until(lambda: world.run("list", "active") == "", "the end of every bottle")
        failed = world.try_run("resume", "--all", "--detach")
        if how != "killed":
            assert failed.returncode == 3
            assert (
                failed.stderr.count("no Docker engine runs at") + failed.stderr.count("Cannot connect") == 2
            )
        assert "Traceback" not in failed.stderr
        rows = world.run("status").splitlines()
        state = "broken" if how == "powerless" else "exited"
        assert [line.split()[:2] for line in rows[1:]] == [[slug, state] for slug in sorted(two)]
    finally:
        start_again(own_engine)
    until(lambda: world.run("list", "active") == "", "the end of every bottle")
    said = world.run("resume", "--all", "--detach")
    assert sorted(said.splitlines()) == sorted(f"{slug}: started again" for slug in two)
    for slug in two:
        assert world.run("exec", slug, "--", "cat", "/home/node/note").strip() == slug
    world.run("stop", "--all")


@pytest.mark.usefixtures("own_engine", "two")
def test_engine_is_as_before_after_a_life_and_a_loss(world: World) -> None:
    world.run("stop", "--all")
    before = everything()
    slug = world.start("shell")
    world.run("stop", slug)
    world.run("rm", "--yes", slug)
    assert everything() == before

    world.start("shell")
    engine("down")
    engine("up")
    assert everything() != before
    world.run("cleanup", "--yes")
    assert everything() == before


def test_engine_killed_during_a_start(own_engine: Path, world: World, two: list[str]) -> None:
    world.run("stop", "--all")
    before = everything()
    with subprocess.Popen(
        world.argv("start", "shell", "--yes", "--detach"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, cwd=world.project, env=world.environ,
    ) as starting:  # fmt: skip
        until(lambda: len(docker("ps", "-a", "--format", "{{.Names}}")) > len(before[0]), "its container")
        kill_engine(own_engine)
        printed, said = starting.communicate(timeout=60)
    try:
        assert starting.returncode in {1, 3}
        errors = [line for line in said.splitlines() if line.startswith("bottlemux: error: ")]
        assert len(errors) == 1, said
        assert "Traceback" not in said
        assert "shell-" not in printed.splitlines()[-1], "it printed a slug, as if that ran"
    finally:
        start_again(own_engine)
    rows = json.loads(world.run("status", "--json"))
    assert sorted(row["slug"] for row in rows) == sorted(two), "half a bottle is left"
    world.run("cleanup", "--yes")
    assert everything() == before
