"""The way out of a bottle as one process: egress with pipelock's scanner behind its policy."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from sidecars.egress import service
from sidecars.pipelock.program import PipelockProgram
from sidecars.pipelock.scanner import PipelockScanner
from sidecars.scan import library
from sidecars.scan.exact import SecretNeedles
from sidecars.secrets import SecretStore, SecretUnavailable

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator, Callable, Sequence

    from sidecars.egress.scan import FindingLike, Headers
    from sidecars.egress.spec import EgressSpec

BUILTIN = "builtin"
REFRESH_INTERVAL_S = 2.0

logger = logging.getLogger("bottlemux.egress")


class RotatingScanner:
    """A :class:`PipelockScanner` that always knows the secrets as they are on the host now.

    The engine is the operator's ``program`` if there is one, else the built-in one. Host names and what is too
    short for a call (WebSocket control frames) are judged here in either case, and so are the secrets themselves.
    """

    def __init__(self, secrets: SecretStore, program: PipelockProgram | None = None) -> None:
        self._secrets = secrets
        self._program = program
        self._values: frozenset[str] = frozenset()
        self._builtin = PipelockScanner(library.provider_engine(), SecretNeedles(()))
        self._scanner = PipelockScanner(program, SecretNeedles(())) if program else self._builtin
        self.refresh()

    @property
    def waits(self) -> bool:
        """Whether a look waits for the operator's program."""
        return self._program is not None

    def engine_name(self) -> str:
        """Return which engine scans: ``builtin``, or ``pipelock VERSION``, and whether that is not available."""
        return self._program.name if self._program is not None else BUILTIN

    def refresh(self) -> None:
        """Read the secrets again. May wait for a command; safe to call from another thread."""
        values = frozenset(self._readable())
        if values != self._values:
            # A value stays dangerous for a while after its rotation: keep the one before.
            needles = SecretNeedles(values | self._values)
            self._builtin = self._builtin.with_needles(needles)
            self._scanner = self._scanner.with_needles(needles) if self._program else self._builtin
            self._values = values

    def _readable(self) -> list[str]:
        found: list[str] = []
        for name in self._secrets.names:
            with contextlib.suppress(SecretUnavailable):
                found.append(self._secrets.get(name))
        return found

    def scan_host(self, host: str, wildcard: str) -> FindingLike | None:
        """Judge a host name that a wildcard matched, before it is looked up."""
        return self._builtin.scan_host(host, wildcard)

    def scan_head(self, method: str, url: str, headers: Headers) -> FindingLike | None:
        """Scan the request line and the header fields."""
        return self._scanner.scan_head(method, url, headers)

    def scan_body(self, body: bytes, content_type: str, content_encoding: str) -> FindingLike | None:
        """Scan a whole request body."""
        return self._scanner.scan_body(body, content_type, content_encoding)

    def scan_message(self, data: bytes) -> FindingLike | None:
        """Scan one WebSocket message."""
        return self._scanner.scan_message(data)

    def scan_control(self, data: bytes) -> FindingLike | None:
        """Scan the payload of a WebSocket control frame."""
        return self._builtin.scan_message(data)


def preload() -> None:
    """Import and compile everything that serving needs, in the process that will be forked."""
    service.preload()
    library.preload()


async def serve(
    spec: EgressSpec, listeners: Sequence[socket.socket], *, on_ready: Callable[[], None]
) -> None:
    """Serve the bottle on ``listeners`` until cancelled.

    Where the operator's pipelock does not run, the bottle is served and what had to be scanned is refused.
    """
    _log_to_stderr()
    async with _engine(spec.pipelock_binary) as program:
        # Always there: a route may ask for scanning in a bottle that otherwise does not.
        scanner = RotatingScanner(SecretStore(spec.secrets), program)
        logger.info("content is scanned by pipelock: %s, %s", spec.scan_mode, scanner.engine_name())
        refreshing = asyncio.create_task(_refresh_forever(scanner))
        try:
            await service.serve(spec, listeners, on_ready=on_ready, scanner=scanner)
        finally:
            refreshing.cancel()


@contextlib.asynccontextmanager
async def _engine(binary: str) -> AsyncGenerator[PipelockProgram | None]:
    if binary == BUILTIN:
        yield None
        return
    program = PipelockProgram(Path(binary))
    try:
        await program.start()
        watching = asyncio.create_task(program.keep_running())
        try:
            yield program
        finally:
            watching.cancel()
    finally:
        program.close()


async def _refresh_forever(scanner: RotatingScanner) -> None:
    while True:
        await asyncio.sleep(REFRESH_INTERVAL_S)
        await asyncio.to_thread(scanner.refresh)


def _log_to_stderr() -> None:
    """Have the log of this process, which the supervisor's caller finds as ``egress.log``, say when what happened."""
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
