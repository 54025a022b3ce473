"""Reading the head of a request, strictly: what two parsers could read differently is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sidecars.egress import names

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 200

_REQUEST_LINE = re.compile(rb"([!-~]{1,32}) ([!-~]{1,16384}) HTTP/1\.([01])")
_METHOD = re.compile(r"[A-Z]{1,32}(-[A-Z]{1,32})?")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")
_SINGLE = frozenset({"host", "content-length", "transfer-encoding", "content-type", "expect", "upgrade"})


class HeadError(ValueError):
    """The head is refused; the text says why and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Head:
    """A request's head as sent. Header names are lower-case; ``length`` is ``None`` for a chunked body."""

    method: str
    target: str
    minor_version: int
    headers: tuple[tuple[str, str], ...]
    length: int | None

    def header(self, name: str) -> str:
        """Return the first value of the header ``name`` (lower-case), or nothing."""
        for key, value in self.headers:
            if key == name:
                return value
        return ""

    @property
    def wants_close(self) -> bool:
        """Whether the client ends the connection after the answer."""
        tokens = {token.strip() for token in self.header("connection").lower().split(",")}
        return "close" in tokens or (self.minor_version == 0 and "keep-alive" not in tokens)


@dataclass(frozen=True, slots=True)
class Target:
    """What a request target means: ``authority`` is empty for the origin form."""

    scheme: str
    authority: str
    path: str


def head_length(data: bytes | bytearray) -> int:
    """Return the length of the head at the start of ``data``, 0 if it is not complete. Raises :class:`HeadError`."""
    end = data.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
    if end >= 0:
        return end + 4
    if len(data) >= MAX_HEAD_BYTES:
        raise HeadError(f"the head of the request is longer than {MAX_HEAD_BYTES} bytes")
    if data and not 0x21 <= data[0] <= 0x7E:
        raise HeadError("this is not HTTP/1.1")
    if b"\n\n" in data or b"\n\r\n" in data:
        raise HeadError("a line of the head does not end in CR LF")
    return 0


def parse(data: bytes) -> Head:
    """Parse a complete head, its blank line included. Raises :class:`HeadError`."""
    lines = data[:-4].split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(lines[0])
    if match is None:
        raise HeadError("the request line is malformed, or not HTTP/1.1")
    method = match.group(1).decode()
    if not _METHOD.fullmatch(method):
        raise HeadError("the method is not in upper case")
    if len(lines) > MAX_HEADERS:
        raise HeadError(f"more than {MAX_HEADERS} headers")
    headers = tuple(_parse_header(line) for line in lines[1:])
    minor = int(match.group(3))
    return Head(method, match.group(2).decode(), minor, headers, _body_length(headers, minor))


def _parse_header(line: bytes) -> tuple[str, str]:
    match = _HEADER.fullmatch(line)
    if match is None:
        raise HeadError("a header is malformed or folded")
    return match.group(1).decode().lower(), match.group(2).decode("latin-1")


def _body_length(headers: tuple[tuple[str, str], ...], minor: int) -> int | None:
    single: dict[str, str] = {}
    for name, value in headers:
        if name in _SINGLE:
            if name in single:
                raise HeadError(f"more than one {name} header")
            single[name] = value
    if "host" not in single:
        raise HeadError("no host header")
    length, encoding = single.get("content-length"), single.get("transfer-encoding")
    if encoding is not None:
        if length is not None:
            raise HeadError("both content-length and transfer-encoding")
        if encoding.lower() != "chunked" or minor == 0:
            raise HeadError("a transfer-encoding other than chunked")
        return None
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit() and len(length) <= 15):
        raise HeadError("a malformed content-length")
    return int(length)


def parse_target(target: str) -> Target:
    """Split a request target in origin or absolute form. Raises :class:`HeadError`."""
    if "#" in target:
        raise HeadError("a fragment in the request target")
    if target.startswith("/") or target == "*":
        return Target("", "", target)
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in {"http", "https"}:
        raise HeadError("the request target is malformed")
    end = min((index for index in (rest.find("/"), rest.find("?")) if index >= 0), default=len(rest))
    authority, path = rest[:end], rest[end:]
    if "@" in authority:
        raise HeadError("user information in the request target")
    return Target(scheme.lower(), authority, path if path.startswith("/") else f"/{path}")


def parse_connect_target(head: Head) -> tuple[str, int]:
    """Return host (canonical if it can be) and port of a CONNECT. Raises :class:`HeadError`."""
    if head.length != 0:
        raise HeadError("a body on CONNECT")
    target = head.target
    host, separator, port = target.rpartition(":")
    if not separator or not host or not port.isdigit() or not 0 < int(port[:6]) < 65536:
        raise HeadError("the CONNECT target is not host:port")
    canonical = names.canonical_host(host)
    return (canonical if canonical is not None else host), int(port)
