"""A disk that is full: the agent is told so, and nothing that failed is taken for done."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from sidecars.egress.routes import Route
from tests.supervise.support import Server, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small file system")
ASK = {"host": "new.example.com", "reason": "needed"}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], check=True, timeout=20)
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True, timeout=20)


def fill(place: Path) -> Path:
    filler = place / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 4096)
    assert os.statvfs(place).f_bavail == 0
    return filler


def state_of(server: Server) -> str:
    return str(json.loads(server.spec.activity_file.read_text())["state"])


def test_nothing_is_queued_on_a_full_disk_and_the_agent_knows(small: Path) -> None:
    with running(small, Route(host="files.example.com")) as server:
        assert server.send(b'{"event": "Stop"}', path="/report").status == 204
        filler = fill(small)

        answer = server.call("egress-block", **ASK)
        assert answer["refused"]
        assert answer["status"] == "rejected"
        assert "could not be written down" in answer["reason"]
        assert server.store.list() == []
        assert server.send(b'{"event": "PreToolUse", "tool": "Bash"}', path="/report").status == 507
        assert state_of(server) == "finished"
        assert server.is_well()

        filler.unlink()
        assert server.call("egress-block", **ASK)["status"] == "pending"
        assert [proposal.request["host"] for proposal in server.store.list()] == ["new.example.com"]
        assert server.send(b'{"event": "PreToolUse", "tool": "Bash"}', path="/report").status == 204
        assert state_of(server) == "working"
