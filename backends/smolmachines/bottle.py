"""A running microVM bottle."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from backends.bubblewrap import standins
from backends.contract import Bottle, ExecResult
from backends.ending import end_supervisor
from backends.smolmachines import launcher, names, tool
from backends.terminal import terminal_environ
from bottlemux.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bottlemux.paths import Paths

USERS = ("node", "root")


class SmolmachinesBottle(Bottle):
    """Entered with ``smolvm machine exec``; ended through its supervisor. Its disk stays."""

    def __init__(self, identity: str, paths: Paths, smolvm: str) -> None:
        super().__init__(identity)
        self._paths = paths
        self._smolvm = tool.Smolvm(smolvm)
        self._machine = names.machine_name(paths, identity)

    def claude_argv(self, argv: Sequence[str], *, tty: bool = True) -> list[str]:
        """Return the host command that runs ``argv`` in the bottle."""
        return self._smolvm.exec_argv(self._machine, launcher.confined(argv), tty=tty)

    def exec(self, script: str, *, user: str = "node") -> ExecResult:
        """Run a shell ``script`` in the bottle and wait for it."""
        done = subprocess.run(
            self._argv(("/bin/sh", "-s"), user, tty=False),
            input=script.encode(), capture_output=True, env=self._smolvm.environ, check=False,
        )  # fmt: skip
        return ExecResult(
            done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )

    def run(self, argv: Sequence[str], *, user: str = "node", tty: bool = False) -> int:
        """Run ``argv`` with this process's own standard streams."""
        environ = {**self._smolvm.environ, **terminal_environ()}
        code = subprocess.run(self._argv(argv, user, tty=tty), env=environ, check=False).returncode
        return code if code >= 0 else 128 - code

    def _argv(self, argv: Sequence[str], user: str, *, tty: bool) -> list[str]:
        if user not in USERS:
            raise UsageError(f"a smolmachines bottle has the users {', '.join(USERS)}, not {user!r}")
        if user == "root":
            return self._smolvm.exec_argv(self._machine, argv, tty=tty)
        return self.claude_argv(argv, tty=tty)

    def close(self) -> None:
        """End the supervisor, which ends the machine; end the machine here where nobody did."""
        end_supervisor(self._paths.bottle(self.identity), self.identity)
        found = self._smolvm.machine(self._machine)
        if found is not None and not found.is_at_rest:
            self._smolvm.stop(self._machine)
        standins.remove(self._paths, self.identity)
