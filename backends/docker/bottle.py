"""A running Docker bottle."""

from __future__ import annotations

import contextlib
import shutil
import sys
from typing import TYPE_CHECKING

from backends.bubblewrap import standins
from backends.contract import MAX_OUTPUT_BYTES, Bottle, ExecResult
from backends.docker import enter, linking, names
from backends.docker.endpoint import is_elsewhere, login_variables
from backends.terminal import mark_options, terminal_environ
from bottlemux.errors import BottlemuxError, UsageError
from bottlemux.state.liveness import read_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bottlemux.paths import Paths

USER = "node"
_USERS = {"node": "", "root": "0:0"}


class DockerBottle(Bottle):
    """Entered through a relay that ``docker exec`` starts; ended by removing its containers."""

    def __init__(self, identity: str, paths: Paths, endpoint: str) -> None:
        super().__init__(identity)
        self._paths = paths
        self._endpoint = endpoint

    def claude_argv(self, argv: Sequence[str], *, tty: bool = True) -> list[str]:
        """Return the host command that runs ``argv`` in the bottle."""
        self._check_started()
        own = [sys.executable, "-I", "-m", "backends.docker.enter", self._endpoint]
        found = login_variables() if is_elsewhere(self._endpoint) else {}
        variables = [f"{name}={value}" for name, value in found.items()]
        options = [*(["-t"] if tty else []), *mark_options(self._paths.bottle(self.identity).output, argv)]
        return [*own, names.agent_container(self.identity), *options, *variables, "--", *argv]

    def exec(self, script: str, *, user: str = USER) -> ExecResult:
        """Run a shell ``script`` in the bottle and wait for it."""
        command = self._command(("/bin/sh", "-s"), user)
        try:
            code, stdout, stderr = enter.capture(command, script.encode(), MAX_OUTPUT_BYTES)
        except enter.EnterError as error:
            raise BottlemuxError(f"{self.identity}: {error}") from error
        return ExecResult(code, stdout.decode(errors="replace"), stderr.decode(errors="replace"))

    def run(self, argv: Sequence[str], *, user: str = USER, tty: bool = False) -> int:
        """Run ``argv`` with this process's own standard streams."""
        try:
            return enter.run(self._command(tuple(argv), user, terminal=tty))
        except enter.EnterError as error:
            raise BottlemuxError(f"{self.identity}: {error}") from error

    def _command(self, argv: tuple[str, ...], user: str, *, terminal: bool = False) -> enter.Command:
        if user not in _USERS:
            raise UsageError(f"a Docker bottle has the users {', '.join(_USERS)}, not {user!r}")
        self._check_started()
        environ = terminal_environ() if terminal else {}
        container = names.agent_container(self.identity)
        return enter.Command(
            self._endpoint, container, argv, _USERS[user], environ=environ, terminal=terminal
        )

    def _check_started(self) -> None:
        """Refuse to enter a container whose walls are being built: the engine may hang of that while it halts one."""
        status = read_status(self._paths.bottle(self.identity))
        if status is not None and not status.init_pid and not is_elsewhere(self._endpoint):
            raise BottlemuxError(f"{self.identity} is still starting", hint="try again in a moment")

    def close(self) -> None:
        """End the bottle and its sidecars and remove what the engine has of them."""
        from backends.docker.engine import Engine
        from backends.docker.removal import remove

        files = self._paths.bottle(self.identity)
        with contextlib.closing(Engine(self._endpoint)) as engine:
            remove(engine, self.identity, lambda: linking.end(files))
        shutil.rmtree(files.runtime, ignore_errors=True)
        standins.remove(self._paths, self.identity)
