"""Starting other programs: nothing inherited, bounded output, bounded time, and no process left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from pathlib import Path

OUTPUT_LIMIT = 64 * 1024 * 1024
_TERMINATE_S = 3.0
_CHUNK = 1024 * 1024
_FAILED = -1


@dataclass(frozen=True)
class Ended:
    """How a program ended. ``code`` is negative when it was killed, took too long or printed too much."""

    code: int
    out: bytes
    err: bytes


@contextlib.asynccontextmanager
async def started(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    stdin: int = asyncio.subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Start ``argv`` in a process group of its own that is ended, at the latest, when the block is left."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(env),
        cwd=str(cwd),
        start_new_session=True,
        pass_fds=pass_fds,
        limit=_CHUNK,
    )
    try:
        yield process
    finally:
        await _end(process)


async def run(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, stdin: bytes = b"", timeout_s: float
) -> Ended:
    """Run ``argv`` to its end. Half an answer is never taken for the whole: its code is negative."""
    async with started(argv, env=env, cwd=cwd, stdin=asyncio.subprocess.PIPE) as process:
        try:
            async with asyncio.timeout(timeout_s):
                ended = await _communicate(process, stdin)
        except TimeoutError:
            return Ended(_FAILED, b"", b"")
    return ended if len(ended.out) <= OUTPUT_LIMIT else Ended(_FAILED, b"", ended.err)


async def _communicate(process: asyncio.subprocess.Process, stdin: bytes) -> Ended:
    async with asyncio.TaskGroup() as group:
        group.create_task(feed(process, stdin))
        out = group.create_task(read_all(process.stdout))
        err = group.create_task(read_all(process.stderr))
    return Ended(await process.wait(), out.result(), err.result())


async def feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    """Write ``data`` to a child's standard input and close it; a child that does not want it is no error."""
    writer = process.stdin
    if writer is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        writer.write(data)
        await writer.drain()
    writer.close()


async def read_all(stream: asyncio.StreamReader | None, limit: int = OUTPUT_LIMIT) -> bytes:
    """Read a stream to its end, keeping ``limit`` bytes of it, and one more when there was more."""
    kept = bytearray()
    while stream is not None and (chunk := await stream.read(_CHUNK)):
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
