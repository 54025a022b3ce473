"""Ending a bottle through its supervisor on this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError
from bottlemux.state.liveness import is_alive, process_start, read_status

if TYPE_CHECKING:
    from bottlemux.paths import BottlePaths
    from bottlemux.state.liveness import RuntimeStatus

STOP_TIMEOUT_S = 10.0
_POLL_S = 0.005


def end_supervisor(files: BottlePaths, identity: str) -> None:
    """Ask the supervisor of ``identity`` to end, wait for it, kill it when it takes too long. Idempotent."""
    status = _await_report(files, identity)
    if status is None:
        return
    pid = status.supervisor_pid
    if not _ends_after(files, pid, signal.SIGTERM) and not _ends_after(files, pid, signal.SIGKILL):
        raise BottlemuxError(
            f"{identity} does not end (process {pid})", hint=f"see {files.logs}/supervisor.log"
        )


def ask_to_end(files: BottlePaths) -> None:
    """Ask the supervisor that reported to end, without waiting: its launcher fails, and the report is removed next.

    One that has not reported yet ends by itself, once it finds its launcher gone.
    """
    status = _reported(files)
    if status is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(status.supervisor_pid, signal.SIGTERM)


def _reported(files: BottlePaths) -> RuntimeStatus | None:
    """Return the report of a supervisor that runs; that of a killed one has a number that may be another's now."""
    status = read_status(files)
    if status is None or process_start(status.supervisor_pid) != status.supervisor_start:
        return None
    return status


def _await_report(files: BottlePaths, identity: str) -> RuntimeStatus | None:
    """Return what the supervisor says of itself, at last where it is being launched; ``None`` when the bottle ended."""
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while is_alive(files):
        if (status := _reported(files)) is not None:
            return status
        if time.monotonic() > deadline:
            raise BottlemuxError(
                f"{identity} is still being started", hint=f"bottlemux stop {identity} once more"
            )
        time.sleep(_POLL_S)
    return None


def _ends_after(files: BottlePaths, supervisor: int, number: int) -> bool:
    try:
        os.kill(supervisor, number)
    except ProcessLookupError:
        return True
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while time.monotonic() < deadline:
        if not is_alive(files):
            return True
        time.sleep(_POLL_S)
    return False
