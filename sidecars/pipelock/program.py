"""The operator's pipelock as a process beside egress: started, watched, started again, and ended with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, BinaryIO

from sidecars.pipelock.binary import PipelockEngine
from sidecars.pipelock.config import ApiAddress, render, run_argv
from sidecars.scan.budget import ENGINE_FAILED, UnreadableError
from sidecars.scan.engine import ScanTimeoutError

if TYPE_CHECKING:
    from pathlib import Path

    from sidecars.scan.engine import Match

START_TIMEOUT_S = 10.0
CHECK_INTERVAL_S = 1.0
CHECKS_FAILED_TO_RESTART = 3
STOP_TIMEOUT_S = 1.0
_ATTEMPT_INTERVAL_S = 0.02
_LONGEST_REASON = 300

# The program must not outlive egress, however that ends; so it asks the kernel before it becomes the program.
_TIED_TO_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""

logger = logging.getLogger("bottlemux.egress")


class PipelockProgram:
    """Takes the place of :class:`sidecars.scan.engine.Engine` with the program at ``binary``, an absolute path.

    While the program does not run and answer, every scan is an :class:`UnreadableError` with the reason ``engine``.
    Its configuration, with the token that opens it, exists only in memory that is open in both processes. Searching
    is safe from any thread; all else is for the event loop's thread, which has to live as long as the program.
    """

    def __init__(self, binary: Path) -> None:
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        self._engine: PipelockEngine | None = None
        self._version = ""
        self._errors = _FirstOutput()

    @property
    def name(self) -> str:
        """``pipelock VERSION``, and whether it is not available now."""
        known = f"pipelock {self._version}".rstrip()
        return known if self._engine is not None else f"{known} (not available)"

    @property
    def pid(self) -> int | None:
        """The program's process while there is one."""
        return self._process.pid if self._process is not None else None

    def scan(self, data: bytes, *, path: str = "", deadline: float | None = None) -> list[Match]:
        """Return what the program finds in ``data``; waits for it. No clear verdict is an exception."""
        engine = self._engine
        if engine is None:
            raise UnreadableError(ENGINE_FAILED)
        return engine.scan(data, path=path, deadline=deadline)

    async def start(self) -> None:
        """Start the program and wait until it gives a verdict; where it does not, log why and return."""
        self.close()
        try:
            engine = self._spawn()
        except OSError as error:
            logger.warning("pipelock cannot be started: %s", error.strerror)
            return
        deadline = time.monotonic() + START_TIMEOUT_S
        while self._runs() and time.monotonic() < deadline:
            if await self._answers(engine):
                self._engine = engine
                self._errors.forget()
                logger.info("content is scanned by %s", self.name)
                return
            await asyncio.sleep(_ATTEMPT_INTERVAL_S)
        state = "does not answer" if self._runs() else f"ended with exit code {self._exit_code()}"
        logger.warning("pipelock %s, every scanned request is refused: %s", state, self._errors.text())
        self.close()

    async def keep_running(self) -> None:
        """Check the program for ever, and start it again when it ended or stopped to answer."""
        failed = 0
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            if self._engine is not None and self._runs():
                failed = 0 if await self._answers(self._engine) else failed + 1
                if failed < CHECKS_FAILED_TO_RESTART:
                    continue
            logger.warning("pipelock does not run any more, starting it again")
            failed = 0
            await self.start()

    def close(self) -> None:
        """End the program; safe to call twice."""
        self._engine = None
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _spawn(self) -> PipelockEngine:
        with _free_port() as api_socket, _free_port() as proxy_socket:
            address = ApiAddress(api_socket.getsockname()[1], secrets.token_urlsafe(32))
            config = render(address, proxy_socket.getsockname()[1], scan_seconds=5.0)
        self._errors = _FirstOutput(hide=address.token)
        with _in_memory(config) as stream:
            inherited = stream.fileno()
            command = run_argv(self._binary, f"/proc/self/fd/{inherited}")
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _TIED_TO_PARENT, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd="/",
                env={name: os.environ[name] for name in ("HOME", "PATH", "LANG", "TZ") if name in os.environ},
                pass_fds=(inherited,),
                start_new_session=True,
            )
        assert self._process.stderr is not None  # noqa: S101 - it is a pipe
        threading.Thread(target=self._errors.read, args=(self._process.stderr,), daemon=True).start()
        return PipelockEngine(address)

    def _runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _exit_code(self) -> int | None:
        return self._process.returncode if self._process is not None else None

    async def _answers(self, engine: PipelockEngine) -> bool:
        try:
            self._version = await asyncio.to_thread(engine.version)
        except (UnreadableError, ScanTimeoutError):
            return False
        return True


class _FirstOutput:
    """What the program says before it is ready. Later it may quote what it scans, so that is only thrown away."""

    def __init__(self, hide: str = "") -> None:
        self._hide = hide
        self._said = b""
        self._is_kept = True

    def read(self, stream: BinaryIO) -> None:
        """Read ``stream`` to its end, so that the program never waits for a reader."""
        with stream, contextlib.suppress(OSError, ValueError):
            while part := stream.readline(_LONGEST_REASON):
                if self._is_kept and len(self._said) < _LONGEST_REASON:
                    self._said += part

    def forget(self) -> None:
        """Keep nothing from now on."""
        self._is_kept = False
        self._said = b""

    def text(self) -> str:
        """Return the first lines as one, fit for a log."""
        said = self._said.decode(errors="replace")
        plain = said.replace(self._hide, "***") if self._hide else said
        return " ".join("".join(char if char.isprintable() else " " for char in plain).split())[
            :_LONGEST_REASON
        ]


def _free_port() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def _in_memory(text: str) -> BinaryIO:
    descriptor = os.memfd_create("pipelock.yaml", os.MFD_CLOEXEC)
    os.fchmod(descriptor, 0o600)
    stream = os.fdopen(descriptor, "r+b")
    stream.write(text.encode())
    stream.flush()
    return stream
