"""The way out of a bottle as one process: egress with pipelock's scanner behind its policy."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from sidecars.egress import service
from sidecars.pipelock.scanner import PipelockScanner
from sidecars.scan import library
from sidecars.scan.exact import SecretNeedles
from sidecars.secrets import SecretStore, SecretUnavailable

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from sidecars.egress.scan import FindingLike, Headers
    from sidecars.egress.spec import EgressSpec

REFRESH_INTERVAL_S = 2.0


class RotatingScanner:
    """A :class:`PipelockScanner` that always knows the secrets as they are on the host now."""

    def __init__(self, secrets: SecretStore) -> None:
        self._secrets = secrets
        self._values: frozenset[str] = frozenset()
        self._scanner = PipelockScanner(library.provider_engine(), SecretNeedles(()))
        self.refresh()

    def refresh(self) -> None:
        """Read the secrets again. May wait for a command; safe to call from another thread."""
        values = frozenset(self._readable())
        if values != self._values:
            # A value stays dangerous for a while after its rotation: keep the one before.
            self._scanner = self._scanner.with_needles(SecretNeedles(values | self._values))
            self._values = values

    def _readable(self) -> list[str]:
        found: list[str] = []
        for name in self._secrets.names:
            with contextlib.suppress(SecretUnavailable):
                found.append(self._secrets.get(name))
        return found

    def scan_head(self, method: str, url: str, headers: Headers) -> FindingLike | None:
        """Scan the request line and the header fields."""
        return self._scanner.scan_head(method, url, headers)

    def scan_body(self, body: bytes, content_type: str, content_encoding: str) -> FindingLike | None:
        """Scan a whole request body."""
        return self._scanner.scan_body(body, content_type, content_encoding)

    def scan_message(self, data: bytes) -> FindingLike | None:
        """Scan one WebSocket message."""
        return self._scanner.scan_message(data)


def preload() -> None:
    """Import and compile everything that serving needs, in the process that will be forked."""
    service.preload()
    library.preload()


async def serve(
    spec: EgressSpec, listeners: Sequence[socket.socket], *, on_ready: Callable[[], None]
) -> None:
    """Serve the bottle on ``listeners`` until cancelled."""
    # Always there: a route may ask for scanning in a bottle that otherwise does not.
    scanner = RotatingScanner(SecretStore(spec.secrets))
    refreshing = asyncio.create_task(_refresh_forever(scanner))
    try:
        await service.serve(spec, listeners, on_ready=on_ready, scanner=scanner)
    finally:
        refreshing.cancel()


async def _refresh_forever(scanner: RotatingScanner) -> None:
    while True:
        await asyncio.sleep(REFRESH_INTERVAL_S)
        await asyncio.to_thread(scanner.refresh)
