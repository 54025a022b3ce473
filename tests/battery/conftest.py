"""A bottle a backend with things of the host beside it that it must not reach."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backends.battery.case import Targets
from tests.backends.conftest import every_backend
from tests.backends.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Outside:
    """Listening sockets, a file, a process and a secret of the operator's."""

    targets: Targets
    directory: Path


@pytest.fixture(scope="session")
def outside() -> Iterator[Outside]:
    directory = Path(tempfile.mkdtemp(prefix="outside-", dir="/var/tmp"))
    secret = f"secret-{secrets.token_hex(8)}"
    name = f"outside-{secrets.token_hex(8)}"
    (directory / "file").write_text(secret)
    process = subprocess.Popen(["sleep", "1000"], env={"SECRET": secret}, executable="/bin/sleep")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as path,
    ):
        abstract.bind(f"\0{name}")
        abstract.listen()
        path.bind(str(directory / "socket"))
        path.listen()
        targets = Targets(
            secret=secret,
            port=tcp.getsockname()[1],
            abstract=name,
            socket=str(directory / "socket"),
            file=str(directory / "file"),
            process=name,
        )
        witness = subprocess.Popen(["sh", "-c", "read x", name], stdin=subprocess.PIPE)
        yield Outside(targets, directory)
        for one in (process, witness):
            one.kill()
            one.communicate()
    shutil.rmtree(directory)


@pytest.fixture(scope="session", params=every_backend())
def attacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp(f"battery-{request.param}"), request.param)
    yield made
    made.close()
    made.end_zygotes()


@pytest.fixture(scope="session")
def weakened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Where bottles are made with a guard taken away."""
    made = World(tmp_path_factory.mktemp("weakened"), "bubblewrap")
    yield made
    made.close()
    made.end_zygotes()
