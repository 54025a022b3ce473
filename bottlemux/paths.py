"""Every name on disk, and who writes it. Nothing else in bottlemux spells a file name of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux import directories

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT_DIR = ".bottlemux"
LAYOUT_SCHEMA = "layout.schema.json"
"""Beside layouts, for editors: shipped, and written by ``layout save``."""


@dataclass(frozen=True)
class BottlePaths:
    """The files of one bottle. ``state`` outlives it, ``runtime`` does not."""

    state: Path
    runtime: Path

    @property
    def metadata(self) -> Path:
        """What ``resume`` needs; written by the launcher."""
        return self.state / "metadata.json"

    @property
    def audit(self) -> Path:
        """One JSON object a line for every allow and block; appended by the sidecars."""
        return self.state / directories.AUDIT_LOG

    @property
    def routes(self) -> Path:
        """The egress policy in force, without secrets; written by the launcher, watched by egress."""
        return self.state / "routes.json"

    @property
    def logs(self) -> Path:
        """``<service>.log`` of each sidecar, and of the supervisor."""
        return self.state / "logs"

    @property
    def proposals(self) -> Path:
        """What the agent asked for; written by supervise."""
        return self.state / "proposals"

    @property
    def output(self) -> Path:
        """An empty file as old as the agent's latest output; touched by the process of its pane, where that is ours."""
        return self.state / "output"

    @property
    def activity(self) -> Path:
        """What the agent's program last reported that it does; written by supervise."""
        return self.state / "activity.json"

    @property
    def home(self) -> Path:
        """The agent's home directory. Its content is the agent's: never follow a link in it on the host."""
        return self.state / "home"

    @property
    def transcripts(self) -> Path:
        """A copy of the agent's conversation, for when its home is lost; written when bottles end. Hostile too."""
        return self.state / "transcripts"

    @property
    def workspace(self) -> Path:
        """The agent's working copy in ``clone`` and ``copy`` mode. Hostile like ``home``."""
        return self.state / "workspace"

    @property
    def guest(self) -> Path:
        """What the bottle sees, read-only, at ``/run/bottlemux``; written by the launcher."""
        return self.state / "guest"

    @property
    def dockerfile(self) -> Path:
        """The bottle's own image, once programs were approved for it; written by approvals, read by each launch."""
        return self.state / "Dockerfile"

    @property
    def devices(self) -> Path:
        """Device nodes of the bottle's own, where its operator owns the machine's; made by the launcher."""
        return self.state / "dev"

    @property
    def standins(self) -> Path:
        """Which stand-ins for protected files were made in the project; written by the launcher."""
        return self.state / "standins.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor with ``flock`` as long as the bottle lives."""
        return self.state / "lock"

    @property
    def stopped(self) -> Path:
        """When the operator stopped the bottle; written by ``stop``, removed by what brings the bottle back."""
        return self.state / "stopped"

    @property
    def window(self) -> Path:
        """How the bottle's window was arranged last; written by whatever looks at the windows."""
        return self.state / "window.json"

    @property
    def engine(self) -> Path:
        """Which engine has the bottle, for ``resume`` and ``rm`` too; written by the Docker launcher."""
        return self.state / "engine"

    @property
    def link(self) -> Path:
        """There from launch to end where the bottle is on an engine elsewhere; written by its link."""
        return self.state / "link.json"

    @property
    def status(self) -> Path:
        """The supervisor's report: process ids, services, restarts."""
        return self.runtime / "status.json"

    @property
    def image(self) -> Path:
        """The image that a container of the bottle runs; written once it does, by the launcher."""
        return self.runtime / "image"

    @property
    def control(self) -> Path:
        """The socket on which the bottle's init takes commands from the host."""
        return self.runtime / directories.CONTROL_SOCKET


@dataclass(frozen=True)
class Paths:
    """The three directories of a user, found once from the environment by :meth:`from_environ`."""

    config: Path
    state: Path
    runtime: Path

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Paths:
        """Find the directories; nothing is made."""
        env = os.environ if environ is None else environ
        return cls(
            config=Path(directories.find_config(env)),
            state=Path(directories.find_state(env)),
            runtime=Path(directories.find_runtime(env)),
        )

    @property
    def config_file(self) -> Path:
        """The user's settings."""
        return self.config / "config.toml"

    @property
    def bottles_config(self) -> Path:
        """Bottle manifests, ``NAME.md``."""
        return self.config / "bottles"

    @property
    def agents_config(self) -> Path:
        """Agent manifests, ``NAME.md``."""
        return self.config / "agents"

    @property
    def skills(self) -> Path:
        """Skills, ``NAME/SKILL.md``."""
        return self.config / "skills"

    @property
    def layouts(self) -> Path:
        """Saved layouts, ``NAME.yaml``."""
        return self.config / "layouts"

    @property
    def bottles(self) -> Path:
        """One directory a bottle, named by its identity."""
        return self.state / directories.BOTTLES

    @property
    def workspace(self) -> Path:
        """The order of the windows, and the current one; written with each bottle's ``window``."""
        return self.state / "workspace.json"

    @property
    def agreements(self) -> Path:
        """A file for each text of a project's layout that the operator lets run commands; written on a yes."""
        return self.state / "agreements"

    @property
    def recent(self) -> Path:
        """What was chosen in the palette lately; written by the palette."""
        return self.state / "recent.json"

    @property
    def installation(self) -> Path:
        """A random name of this state directory, by which engines elsewhere tell its bottles from another's."""
        return self.state / "installation"

    @property
    def keys(self) -> Path:
        """What ``keys install`` found in which tmux server; written and read by ``keys``."""
        return self.state / "keys.json"

    def bottle(self, identity: str) -> BottlePaths:
        """Return the files of the bottle ``identity``; nothing is made."""
        return BottlePaths(state=self.bottles / identity, runtime=self.runtime / identity)
