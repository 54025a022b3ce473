"""Answers of the gate: chunked, one a connection, never waiting for ever for a client that does not read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from http import HTTPStatus

    from sidecars.git_gate.refusal import Refused

_NO_CACHE = "Cache-Control: no-cache, max-age=0, must-revalidate\r\nPragma: no-cache\r\n"


class ClientGoneError(Exception):
    """The client closed the connection, or does not read."""


class Response:
    """One answer. ``stalled_s`` bounds how long a client may leave it unread."""

    def __init__(self, writer: asyncio.StreamWriter, *, stalled_s: float) -> None:
        self._writer = writer
        self._stalled_s = stalled_s
        self.started = False

    async def proceed(self) -> None:
        """Tell a client that waits for permission to send its body."""
        await self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def start(self, status: HTTPStatus, content_type: str) -> None:
        """Send the head; a body in chunks follows."""
        self.started = True
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\n{_NO_CACHE}"
            "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        await self._write(head.encode())

    async def send(self, data: bytes) -> None:
        """Send a part of the body."""
        if data:
            await self._write(b"%x\r\n%b\r\n" % (len(data), data))

    async def finish(self) -> None:
        """Mark the body as complete: without this the client sees a broken answer."""
        await self._write(b"0\r\n\r\n")

    async def whole(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        """Send a complete answer."""
        await self.start(status, content_type)
        await self.send(body)
        await self.finish()

    async def _write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            async with asyncio.timeout(self._stalled_s):
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            raise ClientGoneError from error


def packet(data: bytes) -> bytes:
    """Return ``data`` as one line of git's packet format."""
    return b"%04x%b" % (len(data) + 4, data)


def refusal_body(refusal: Refused, service: str) -> bytes:
    """Return the answer to ``info/refs`` that makes git print the refusal and stop."""
    text = "\n".join(refusal.lines())
    return packet(f"# service={service}\n".encode()) + b"0000" + packet(f"ERR {text}".encode())
