"""The lock says who lives; the report says what was last seen."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bottlemux.errors import BottlemuxError
from bottlemux.paths import BottlePaths
from bottlemux.state.liveness import (
    LockProbe,
    RuntimeStatus,
    ServiceStatus,
    hold,
    is_alive,
    process_start,
    read_status,
    write_status,
)

STATUS = RuntimeStatus(
    supervisor_pid=10,
    supervisor_start=99,
    started_at="2026-01-02T03:04:05Z",
    backend="bubblewrap",
    init_pid=11,
    services={"egress": ServiceStatus(pid=12, restarts=1, state="running")},
)
HOLDER = (
    "import sys, pathlib; from bottlemux.state.liveness import hold;"
    "hold(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture
def bottle(tmp_path: Path) -> BottlePaths:
    paths = BottlePaths(state=tmp_path / "demo-abcde", runtime=tmp_path / "run")
    paths.state.mkdir()
    paths.runtime.mkdir()
    return paths


def test_a_bottle_that_never_ran_is_dead_and_stays_untouched(bottle: BottlePaths) -> None:
    assert not is_alive(bottle)
    assert not bottle.lock.exists()


def test_a_probe_sees_a_bottle_begin_and_end_and_keeps_nothing_open(bottle: BottlePaths) -> None:
    probe, before = LockProbe(bottle), len(os.listdir("/proc/self/fd"))
    assert not probe.is_alive()
    for _ in range(2):
        lock = hold(bottle.lock)
        assert probe.is_alive()
        assert probe.is_alive()
        os.close(lock)
        assert not probe.is_alive()
    os.close(hold(bottle.lock))
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_lock_goes_with_its_holder_however_that_ends(bottle: BottlePaths) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(bottle.lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert is_alive(bottle)

    holder.send_signal(signal.SIGKILL)
    holder.communicate()

    assert bottle.lock.exists()
    assert not is_alive(bottle)


def test_only_one_can_hold(bottle: BottlePaths) -> None:
    first = hold(bottle.lock)
    try:
        with pytest.raises(BottlemuxError, match="'demo-abcde' is already running"):
            hold(bottle.lock)
    finally:
        os.close(first)
    os.close(hold(bottle.lock))


def test_the_lock_is_private_and_not_inherited(bottle: BottlePaths) -> None:
    descriptor = hold(bottle.lock)
    try:
        assert bottle.lock.stat().st_mode & 0o777 == 0o600
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


def test_a_probe_does_not_keep_a_supervisor_from_its_lock(bottle: BottlePaths, monkeypatch) -> None:
    probe = os.open(bottle.lock, os.O_RDONLY | os.O_CREAT, 0o600)
    fcntl.flock(probe, fcntl.LOCK_SH)
    monkeypatch.setattr("bottlemux.state.liveness.time.sleep", lambda seconds: os.close(probe))

    os.close(hold(bottle.lock))


def test_status_round_trip(bottle: BottlePaths) -> None:
    write_status(bottle, STATUS)

    assert read_status(bottle) == STATUS
    assert bottle.status.stat().st_mode & 0o777 == 0o600


GARBAGE = {
    "empty": "", "no object": "[]", "null": "null", "no keys": "{}", "deep": "[" * 100_000,
    "services a list": '{"supervisor_pid": 1, "supervisor_start": 1, "started_at": "", "backend": "",'
    ' "services": [1]}',
    "text for a number": '{"supervisor_pid": "1", "supervisor_start": 1, "started_at": "", "backend": ""}',
    "service without state": '{"supervisor_pid": 1, "supervisor_start": 1, "started_at": "", "backend": "",'
    ' "services": {"egress": {}}}',
    "services are text": '{"supervisor_pid": 1, "supervisor_start": 1, "started_at": "", "backend": "",'
    ' "services": "egress"}',
    "service is text": '{"supervisor_pid": 1, "supervisor_start": 1, "started_at": "", "backend": "",'
    ' "services": {"egress": "x"}}',
}  # fmt: skip


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE.keys())
def test_what_is_no_report_is_none(bottle: BottlePaths, text: str) -> None:
    bottle.status.write_text(text)

    assert read_status(bottle) is None


def test_no_report(bottle: BottlePaths) -> None:
    assert read_status(bottle) is None


def test_a_process_is_told_apart_by_its_start() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        started = process_start(child.pid)
        assert started is not None
        assert started >= (process_start(os.getpid()) or 0)
        assert process_start(child.pid) == started
    finally:
        child.kill()
        child.wait()
    assert process_start(child.pid) is None


def test_a_process_with_a_hostile_name(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 (b"
    program.symlink_to(Path("/bin/sleep").resolve())
    child = subprocess.Popen([program, "60"])
    try:
        assert (process_start(child.pid) or 0) >= (process_start(os.getpid()) or 0)
    finally:
        child.kill()
        child.wait()
