"""A running bubblewrap bottle."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from backends.bubblewrap import enter, standins
from backends.bubblewrap.sandbox import USER, WORKSPACE
from backends.contract import MAX_OUTPUT_BYTES, Bottle, ExecResult
from backends.ending import end_supervisor
from backends.terminal import mark_options, terminal_environ
from bottlemux.errors import BottlemuxError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bottlemux.paths import Paths


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
        return [*own, *terminal, *mark_options(self._files.output, argv), "--", *argv]

    def exec(self, script: str, *, user: str = USER) -> ExecResult:
        """Run a shell ``script`` in the bottle and wait for it."""
        _check_user(user)
        try:
            code, stdout, stderr = enter.capture(
                str(self._files.control), enter.Command(("/bin/sh", "-s")), script.encode(), MAX_OUTPUT_BYTES
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
        end_supervisor(self._files, self.identity)
        standins.remove(self._paths, self.identity)


def _check_user(user: str) -> None:
    if user != USER:
        raise UsageError(f"a bubblewrap bottle has only the user {USER!r}, not {user!r}")
