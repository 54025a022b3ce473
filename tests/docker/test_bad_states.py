"""What can be wrong with an engine, an image or this machine: one clear line each, and nothing half made."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from backends.docker import plan as plans
from backends.docker import walls
from backends.docker.engine import Engine, explained
from bottlemux.errors import BottlemuxError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import World

pytestmark = pytest.mark.docker
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only where root is the operator")
FACTS: dict[str, Any] = {"MemTotal": 1 << 30, "ServerVersion": "28.0.1", "Runtimes": {"runc": {}}}


def test_without_its_client(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "docker command is not installed" in world.backend.is_available().reason
    with pytest.raises(UnavailableError, match="docker command is not installed"):
        world.plan()


@as_root
def test_without_permission() -> None:
    endpoint = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    import docker.errors

    assert docker.errors.DockerException  # loaded here: another user may not reach this Python
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            Engine(endpoint).check()
        except BottlemuxError as error:
            os.write(writer, f"{error.message}; {error.hint}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, encoding="utf-8") as said:
        text = said.read()
    assert "no permission to use the Docker engine" in text
    assert "usermod -aG docker" in text


@pytest.fixture
def old_engine(tmp_path: Path) -> Iterator[str]:
    """Yield where something answers as an engine of 2017 did."""
    path = tmp_path / "old.sock"
    body = json.dumps(
        {"ApiVersion": "1.30", "MinAPIVersion": "1.12", "OSType": "linux", "Name": "x", "MemTotal": 1}
    )
    answer = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(f"{answer}Connection: close\r\n\r\n{body}".encode())

        threading.Thread(target=serve, daemon=True).start()
        yield f"unix://{path}"
        listener.shutdown(socket.SHUT_RDWR)


def test_an_old_engine(old_engine: str) -> None:
    with pytest.raises(UnavailableError, match=r"too old \(API 1.30\)"):
        Engine(old_engine).check()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("write /var/lib/docker/tmp/x: no space left on device", "the engine's disk is full"),
        (
            "could not find an available, non-overlapping IPv4 address pool among the defaults",
            "no free network",
        ),
        ("no available IPv4 addresses on this network's address pools: x (y)", "no free network"),
        (
            'Conflict. The container name "/x" is already in use by container "y"',
            "the container's name is in use",
        ),
        ("standard_init_linux.go: exec user process caused: exec format error", "for another architecture"),
    ],
    ids=["disk full", "no networks", "no addresses", "name in use", "architecture"],
)
def test_what_an_engine_says(said: str, expected: str) -> None:
    error = explained("start", json.dumps({"message": said}))
    assert expected in error.message
    assert error.hint


def test_an_image_of_another_architecture(world: World, tmp_path: Path) -> None:
    arm = bytes.fromhex("7f454c460201010000000000000000000200b70001000000") + bytes(100)
    (tmp_path / "sh").write_bytes(arm)
    (tmp_path / "sh").chmod(0o755)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY --chown=0:0 sh /bin/sh\n")
    world.write_bottle("dev", f"image: {tmp_path}")
    try:
        with pytest.raises(BottlemuxError, match="another architecture"):
            world.launch()
    finally:
        world.write_bottle("dev", "")


@as_root
def test_files_that_can_get_no_other_owner(world: World, tmp_path: Path) -> None:
    """Nothing else than such a file system can show it: ramfs has no ID-mapped mounts."""
    if subprocess.run(["mount", "-t", "ramfs", "none", str(tmp_path)], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        with pytest.raises(UsageError, match="you are root") as caught:
            world.plan(directory=tmp_path)
        assert "ordinary user" in (caught.value.hint or "")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@as_root
def test_a_root_without_power(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walls, "can_be_built", lambda: False)
    with pytest.raises(UnavailableError, match="CAP_SYS_ADMIN"):
        world.plan()


def test_the_preflight_says_what_is_left_to_the_engine(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = world.spec()
    endpoint = "unix:///x.sock"
    monkeypatch.setattr(walls, "can_be_built", lambda: True)
    assert dict(plans.resolve(spec, "docker", endpoint, FACTS).details()).get("not here") is None
    monkeypatch.setattr(walls, "can_be_built", lambda: False)
    modern = dict(plans.resolve(spec, "docker", endpoint, FACTS).details())["not here"]
    older = {**FACTS, "ServerVersion": "20.10.24+dfsg1"}
    assert "nosuid" in modern
    assert "default route" not in modern
    assert "default route" in dict(plans.resolve(spec, "docker", endpoint, older).details())["not here"]


def test_the_agent_runs_in_the_runtime_that_was_planned(world: World) -> None:
    other = "io.containerd.runc.v2"
    bottle = world.launch(replace(world.plan(), runtime=other))  # type: ignore[call-arg]
    done = subprocess.run(
        ["docker", "inspect", "-f", "{{.HostConfig.Runtime}}", f"bottlemux-{bottle.identity}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == other
