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

        server = TmuxServer.choose(self.socket_name, self.environ)
        return Workspace(server, dashboard=self._dashboard_argv, options=self._session_options)

    def _dashboard_argv(self) -> list[str] | None:
        from bottlemux.manifest.config import load_config

        if not load_config(self.paths).workspace.dashboard:
            return None
        return self.own_argv("dashboard", "--resident", "--cwd", str(self.cwd))

    def _session_options(self) -> Mapping[str, str]:
        """Return the options of tmux that the user's settings give our session."""
        from bottlemux.manifest.config import load_config

        mouse = load_config(self.paths).workspace.mouse
        return {} if mouse == "user" else {"mouse": mouse}

    def own_argv(self, *arguments: str) -> list[str]:
        """Return the argv that runs bottlemux itself in the same directories, wherever it is started from."""
        # -I: a directory with a hostile bottlemux/ or backends/ in it must not be imported from.
        return [*self._own_environment(), sys.executable, "-I", "-m", "bottlemux", *arguments]

    def quick_argv(self, *arguments: str) -> list[str]:
        """Return the same for what somebody waits for at a key: in a fork of the warm process where one runs."""
        # Without site, and as an import, which is compiled already: together that halves the time of this process.
        root = str(Path(__file__).parents[2])
        program = f"import sys; sys.path.append({root!r}); from bottlemux.cli.handover import main; main()"
        return [*self._own_environment(), sys.executable, "-I", "-S", "-c", program, *arguments]

    def _own_environment(self) -> list[str]:
        variables = {
            "BOTTLEMUX_CONFIG_DIR": str(self.paths.config),
            "BOTTLEMUX_STATE_DIR": str(self.paths.state),
        }
        if runtime := self.environ.get("XDG_RUNTIME_DIR"):
            variables["XDG_RUNTIME_DIR"] = runtime
        if socket := self.socket_name or self.environ.get("BOTTLEMUX_TMUX_SOCKET"):
            variables["BOTTLEMUX_TMUX_SOCKET"] = socket
        return ["/usr/bin/env", *(f"{name}={value}" for name, value in variables.items())]
