"""The few parts of HTTP/1.1 that git needs, read strictly: one request a connection, nothing ambiguous."""

from __future__ import annotations

import asyncio
import re
import tempfile
import zlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

HEAD_LIMIT = 16 * 1024
_CHUNK = 32 * 1024
_REQUEST_LINE = re.compile(rb"(GET|POST|HEAD) (/[\x21-\x7e]*) HTTP/1\.1")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\x80-\xff\t]*?)[ \t]*")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[\x20-\x7e]*)?\r\n")
_GZIP = 31
_DROPPED = 4


class BadRequest(Exception):  # noqa: N818 - it carries an answer
    """A request that gets an HTTP error for an answer."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True)
class Request:
    """The head of a request; header names are lower case. ``length`` is None for a chunked body."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    length: int | None


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read a request's head; raises :class:`BadRequest`. The reader's limit bounds its size."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "not an HTTP request, or its head is too long") from error
    first, *lines = head[:-4].split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "only GET and POST over HTTP/1.1 are understood")
    headers = _headers(lines)
    path, _, query = match[2].decode().partition("?")
    return Request(match[1].decode(), path, query, headers, _body_length(headers))


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        match = _HEADER.fullmatch(line)
        name = match[1].decode().lower() if match else ""
        if match is None or name in headers:
            raise BadRequest(HTTPStatus.BAD_REQUEST, "a malformed or repeated header")
        headers[name] = match[2].decode("latin-1")
    return headers


def _body_length(headers: Mapping[str, str]) -> int | None:
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if coding.lower() != "chunked" or length is not None:
            raise BadRequest(HTTPStatus.BAD_REQUEST, "an unclear body length")
        return None
    if length is not None and not re.fullmatch(r"[0-9]{1,15}", length):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "a malformed body length")
    return int(length or 0)


async def _raw_body(reader: asyncio.StreamReader, length: int | None) -> AsyncGenerator[bytes]:
    if length is not None:
        async for piece in _exactly(reader, length):
            yield piece
        return
    while size := await _chunk_size(reader):
        async for piece in _exactly(reader, size):
            yield piece
        if await reader.readexactly(2) != b"\r\n":
            raise BadRequest(HTTPStatus.BAD_REQUEST, "a malformed chunk")
    if await reader.readexactly(2) != b"\r\n":
        raise BadRequest(HTTPStatus.BAD_REQUEST, "trailers are not understood")


async def _chunk_size(reader: asyncio.StreamReader) -> int:
    match = _CHUNK_SIZE.fullmatch(await reader.readuntil(b"\r\n"))
    if match is None:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "a malformed chunk size")
    return int(match[1], 16)


async def _exactly(reader: asyncio.StreamReader, length: int) -> AsyncGenerator[bytes]:
    while length:
        piece = await reader.read(min(length, _CHUNK))
        if not piece:
            raise BadRequest(HTTPStatus.BAD_REQUEST, "the body ended early")
        length -= len(piece)
        yield piece


class Inflater:
    """Undoes a body's content encoding in bounded steps."""

    def __init__(self, coding: str) -> None:
        if coding not in {"", "identity", "gzip", "x-gzip"}:
            raise BadRequest(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body's encoding is not understood")
        self._gzip = zlib.decompressobj(_GZIP) if coding.endswith("gzip") else None

    def feed(self, piece: bytes) -> bytes:
        """Return the plain bytes of ``piece``: deflate makes them at most 1032 times as long."""
        if self._gzip is None:
            return piece
        try:
            return self._gzip.decompress(piece)
        except zlib.error as error:
            raise BadRequest(HTTPStatus.BAD_REQUEST, "the body is not gzip") from error

    def finish(self) -> None:
        """Raise :class:`BadRequest` when the compressed body is not complete."""
        if self._gzip is not None and not self._gzip.eof:
            raise BadRequest(HTTPStatus.BAD_REQUEST, "the compressed body is not complete")


async def spool_body(
    reader: asyncio.StreamReader, request: Request, directory: Path, *, keep: int, stalled_s: float
) -> IO[bytes]:
    """Read the whole body into an unnamed file in ``directory`` and return it, rewound.

    At most ``keep`` bytes are kept; up to four times as many are read and dropped, so that git can say by
    itself that a pack is too large. More, or ``stalled_s`` seconds without a byte, raise :class:`BadRequest`.
    """
    spool: IO[bytes] = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - handed to the caller
    try:
        await _fill(spool, _raw_body(reader, request.length), request, keep, stalled_s)
    except BaseException:
        spool.close()
        raise
    return spool


async def _fill(
    spool: IO[bytes], body: AsyncGenerator[bytes], request: Request, keep: int, stalled_s: float
) -> None:
    inflater = Inflater(request.headers.get("content-encoding", "").lower())
    seen = 0
    while (piece := await _next(body, stalled_s)) is not None:
        plain = inflater.feed(piece)
        spool.write(plain[: max(0, keep - seen)])
        seen += len(plain)
        if seen > _DROPPED * keep:
            raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too large")
    inflater.finish()
    spool.seek(0)


async def _next(body: AsyncGenerator[bytes], stalled_s: float) -> bytes | None:
    try:
        async with asyncio.timeout(stalled_s):
            return await anext(body, None)
    except TimeoutError as error:
        raise BadRequest(HTTPStatus.REQUEST_TIMEOUT, "the request stalled") from error
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "a malformed body") from error
