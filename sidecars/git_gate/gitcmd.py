"""Running git with the gate's settings, and none of the user's or the machine's."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sidecars.git_gate import children

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from sidecars.git_gate.spec import Limits

_LOCAL_S = 60.0


@dataclass(frozen=True)
class Git:
    """Starts git on one repository, with an environment made from nothing."""

    repository: Path
    settings: Mapping[str, str]
    extra: Mapping[str, str] = field(default_factory=dict[str, str])

    def with_extra(self, **variables: str) -> Git:
        """Return the same git with more environment variables."""
        return replace(self, extra={**self.extra, **variables})

    def environ(self) -> dict[str, str]:
        """Return the whole environment of a child."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.repository.parent),
            "LC_ALL": "C.UTF-8",
            "GIT_DIR": str(self.repository),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            **_numbered(self.settings),
            **self.extra,
        }

    def start(
        self, *arguments: str, stdin: int = asyncio.subprocess.DEVNULL, pass_fds: Sequence[int] = ()
    ) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
        """Start ``git ARGUMENTS``; it is ended, at the latest, when the block is left."""
        argv = ["git", *arguments]
        cwd = self.repository.parent
        return children.started(argv, env=self.environ(), cwd=cwd, stdin=stdin, pass_fds=pass_fds)

    async def run(self, *arguments: str, stdin: bytes = b"", timeout_s: float = _LOCAL_S) -> children.Ended:
        """Run ``git ARGUMENTS`` to its end."""
        argv, cwd = ["git", *arguments], self.repository.parent
        return await children.run(argv, env=self.environ(), cwd=cwd, stdin=stdin, timeout_s=timeout_s)


def base_settings(hooks: Path, limits: Limits) -> dict[str, str]:
    """Return the configuration of every git that the gate starts."""
    return {
        "core.hooksPath": str(hooks),
        "core.fsmonitor": "false",
        "core.bigFileThreshold": "16m",
        "gc.autoDetach": "false",
        "maintenance.autoDetach": "false",
        "protocol.allow": "never",
        "protocol.ssh.allow": "always",
        "receive.advertisePushOptions": "false",
        "receive.autogc": "false",
        "receive.denyCurrentBranch": "ignore",
        "receive.denyDeleteCurrent": "ignore",
        "receive.fsckObjects": "true",
        "receive.maxInputSize": str(limits.pack_bytes),
        "receive.shallowUpdate": "false",
    }


def _numbered(settings: Mapping[str, str]) -> dict[str, str]:
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for index, (key, value) in enumerate(settings.items()):
        variables[f"GIT_CONFIG_KEY_{index}"] = key
        variables[f"GIT_CONFIG_VALUE_{index}"] = value
    return variables
