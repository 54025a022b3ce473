"""Where a command works: the user's directories, the environment it was called with, the tmux server."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.directories import find_current
from bottlemux.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bottlemux.session.workspace import Workspace
    from bottlemux.state.store import BottleStore


@dataclass(frozen=True)
class Context:
    """Read once from the process's environment; every lifecycle function gets it."""

    paths: Paths
    environ: Mapping[str, str]
    cwd: Path
    socket_name: str | None = None

    @classmethod
    def current(cls, socket_name: str | None = None) -> Context:
        """Return the context of this process."""
        environ = dict(os.environ)
        return cls(Paths.from_environ(environ), environ, Path(find_current(environ)), socket_name)

    @property
    def store(self) -> BottleStore:
        """The records of all bottles."""
        from bottlemux.state.store import BottleStore

        return BottleStore(self.paths)

    @property
    def workspace(self) -> Workspace:
        """The tmux session ``bottlemux`` on the chosen server."""
        from bottlemux.session.server import TmuxServer
        from bottlemux.session.workspace import Workspace

        return Workspace(TmuxServer.choose(self.socket_name, self.environ))

    def own_argv(self, *arguments: str) -> list[str]:
        """Return the argv that runs bottlemux itself in the same directories, wherever it is started from."""
        variables = {
            "BOTTLEMUX_CONFIG_DIR": str(self.paths.config),
            "BOTTLEMUX_STATE_DIR": str(self.paths.state),
        }
        if runtime := self.environ.get("XDG_RUNTIME_DIR"):
            variables["XDG_RUNTIME_DIR"] = runtime
        if socket := self.socket_name or self.environ.get("BOTTLEMUX_TMUX_SOCKET"):
            variables["BOTTLEMUX_TMUX_SOCKET"] = socket
        prefix = ["/usr/bin/env", *(f"{name}={value}" for name, value in variables.items())]
        # -I: a directory with a hostile bottlemux/ or backends/ in it must not be imported from.
        return [*prefix, sys.executable, "-I", "-m", "bottlemux", *arguments]
