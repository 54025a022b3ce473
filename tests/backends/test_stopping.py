"""Stopping a bottle whose supervisor's report is missing or old: nobody else is signalled."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from backends import ending
from backends.bubblewrap.bottle import BubblewrapBottle
from bottlemux.errors import BottlemuxError
from bottlemux.files import make_private_dir
from bottlemux.paths import Paths
from bottlemux.state.liveness import RuntimeStatus, hold, process_start, write_status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLUG = "agent-00000"


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Paths]:
    """A bottle that is being launched: its lock is held, its supervisor has said nothing yet."""
    found = Paths(config=tmp_path / "config", state=tmp_path / "state", runtime=tmp_path / "run")
    make_private_dir(found.bottle(SLUG).state)
    make_private_dir(found.bottle(SLUG).runtime)
    monkeypatch.setattr(ending, "STOP_TIMEOUT_S", 0.1)
    lock = hold(found.bottle(SLUG).lock)
    yield found
    os.close(lock)


def test_a_bottle_that_is_being_started_is_not_called_stopped(paths: Paths) -> None:
    with pytest.raises(BottlemuxError, match="is still being started"):
        BubblewrapBottle(SLUG, paths).close()


def test_a_process_that_took_a_dead_supervisors_number_lives_on(paths: Paths) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        started = (process_start(bystander.pid) or 0) - 1
        write_status(
            paths.bottle(SLUG), RuntimeStatus(bystander.pid, started, "2026-01-01T00:00:00Z", "bubblewrap")
        )
        with pytest.raises(BottlemuxError, match="is still being started"):
            BubblewrapBottle(SLUG, paths).close()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
