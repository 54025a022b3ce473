"""Running git: nothing inherited, bounded output, bounded time, and no process left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from pathlib import Path

    from sidecars.git_gate.spec import Limits

_TERMINATE_S = 3.0
_OUTPUT_LIMIT = 64 * 1024 * 1024
_STREAM_LIMIT = 1024 * 1024
_FAILED = -1


@dataclass(frozen=True)
class GitResult:
    """How a git command ended. ``code`` is negative when it was killed or took too long."""

    code: int
    out: bytes
    err: bytes


@dataclass(frozen=True)
class Git:
    """Starts git on one repository, with the gate's settings and none of the user's or the machine's."""

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

    @contextlib.asynccontextmanager
    async def start(
        self, *arguments: str, stdin: int = asyncio.subprocess.DEVNULL, pass_fds: Sequence[int] = ()
    ) -> AsyncGenerator[asyncio.subprocess.Process]:
        """Start ``git ARGUMENTS`` in a process group that is ended, at the latest, when the block is left."""
        process = await asyncio.create_subprocess_exec(
            "git",
            *arguments,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environ(),
            cwd=str(self.repository.parent),
            start_new_session=True,
            pass_fds=pass_fds,
            limit=_STREAM_LIMIT,
        )
        try:
            yield process
        finally:
            await _end(process)

    async def run(self, *arguments: str, stdin: bytes = b"", timeout_s: float = 60.0) -> GitResult:
        """Run ``git ARGUMENTS`` to its end; too much output or time kills it and gives a negative code."""
        async with self.start(*arguments, stdin=asyncio.subprocess.PIPE) as process:
            try:
                async with asyncio.timeout(timeout_s):
                    result = await _communicate(process, stdin)
            except TimeoutError:
                return GitResult(_FAILED, b"", b"")
        # Half an answer must never be taken for the whole.
        return result if len(result.out) <= _OUTPUT_LIMIT else GitResult(_FAILED, b"", result.err)


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


async def _communicate(process: asyncio.subprocess.Process, stdin: bytes) -> GitResult:
    async with asyncio.TaskGroup() as group:
        group.create_task(feed(process, stdin))
        out = group.create_task(read_all(process.stdout))
        err = group.create_task(read_all(process.stderr))
    return GitResult(await process.wait(), out.result(), err.result())


async def feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    """Write ``data`` to a child's standard input and close it; a child that does not want it is no error."""
    writer = process.stdin
    if writer is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        writer.write(data)
        await writer.drain()
    writer.close()


async def read_all(stream: asyncio.StreamReader | None, limit: int = _OUTPUT_LIMIT) -> bytes:
    """Read a child's output to its end, keeping ``limit`` bytes of it, and one more when there was more."""
    kept = bytearray()
    while stream is not None and (chunk := await stream.read(_STREAM_LIMIT)):
        kept += chunk[: max(0, limit + 1 - len(kept))]
    return bytes(kept)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask, wait, kill: git removes its lock files when it is asked."""
    for name, patience in ((signal.SIGTERM, _TERMINATE_S), (signal.SIGKILL, None)):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, name)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), patience)
