"""A running bubblewrap bottle."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from backends.bubblewrap import enter, standins
from backends.bubblewrap.sandbox import USER, WORKSPACE
from backends.contract import Bottle, ExecResult
from backends.terminal import terminal_environ
from bottlemux.errors import BottlemuxError, UsageError
from bottlemux.state.liveness import is_alive, process_start, read_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bottlemux.paths import BottlePaths, Paths
    from bottlemux.state.liveness import RuntimeStatus

STOP_TIMEOUT_S = 10.0
_POLL_S = 0.005


class BubblewrapBottle(Bottle):
    """Reached over the control socket of its init; ended through its supervisor."""

    def __init__(self, identity: str, paths: Paths) -> None:
        super().__init__(identity)
        self._paths = paths
        self._files = paths.bottle(identity)

    def claude_argv(self, argv: Sequence[str], *, tty: bool = True) -> list[str]:
        """Return the host command that runs ``argv`` in the bottle."""
        terminal = ["-t"] if tty else []
        own = [sys.executable, "-I", "-m", "backends.bubblewrap.enter", str(self._files.control), WORKSPACE]
        return [*own, *terminal, "--", *argv]

    def exec(self, script: str, *, user: str = USER) -> ExecResult:
        """Run a shell ``script`` in the bottle and wait for it."""
        _check_user(user)
        try:
            code, stdout, stderr = enter.capture(
                str(self._files.control), enter.Command(("/bin/sh", "-s")), script.encode()
            )
        except enter.EnterError as error:
            raise BottlemuxError(f"{self.identity}: {error}") from error
        return ExecResult(code, stdout.decode(errors="replace"), stderr.decode(errors="replace"))

    def run(self, argv: Sequence[str], *, user: str = USER, tty: bool = False) -> int:
        """Run ``argv`` with this process's own standard streams."""
        _check_user(user)
        environ = terminal_environ()
        try:
            return enter.run(
                str(self._files.control), enter.Command(tuple(argv), environ=environ, terminal=tty)
            )
        except enter.EnterError as error:
            raise BottlemuxError(f"{self.identity}: {error}") from error

    def close(self) -> None:
        """Ask the supervisor to end the bottle, wait for it, kill it when it takes too long."""
        if (status := self._await_report()) is not None:
            self._end(status)
        standins.remove(self._paths, self.identity)

    def _await_report(self) -> RuntimeStatus | None:
        """Return what the supervisor says of itself; ``None`` when the bottle has ended.

        A bottle being launched has no report yet, or that of a killed supervisor, whose number may be another's now.
        """
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while is_alive(self._files):
            status = read_status(self._files)
            if status is not None and process_start(status.supervisor_pid) == status.supervisor_start:
                return status
            if time.monotonic() > deadline:
                raise BottlemuxError(
                    f"{self.identity} is still being started",
                    hint=f"bottlemux stop {self.identity} once more",
                )
            time.sleep(_POLL_S)
        return None

    def _end(self, status: RuntimeStatus) -> None:
        if not _ends_after(self._files, status.supervisor_pid, signal.SIGTERM) and not _ends_after(
            self._files, status.supervisor_pid, signal.SIGKILL
        ):
            raise BottlemuxError(
                f"{self.identity} does not end (process {status.supervisor_pid})",
                hint=f"see {self._files.logs}/supervisor.log",
            )


def _check_user(user: str) -> None:
    if user != USER:
        raise UsageError(f"a bubblewrap bottle has only the user {USER!r}, not {user!r}")


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
