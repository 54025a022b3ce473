"""Messages between a pane's process on the host and the relay in the bottle: a kind, a length, bytes.

Standard library only and free of anything newer than Python 3.8: the relay runs in any image's Python.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False  # the relay runs once for every command: typing would double its start
if TYPE_CHECKING:
    from collections.abc import Iterator

START, INPUT, INPUT_END, RESIZE, SIGNAL = b"S", b"I", b"E", b"R", b"K"
OUTPUT, ERRORS, TAKEN, EXIT, FAILED = b"O", b"X", b"T", b"Q", b"F"
WINDOW = 1 << 18
"""Bytes of input that may be under way: the relay must always be able to read, or it would miss the end."""
MAX_FRAME = 1 << 20
_HEADER = struct.Struct("!cI")


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """Return one message as it is sent."""
    return _HEADER.pack(kind, len(payload)) + payload


class Reader:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Take ``data`` and yield what is complete as kind and payload. ``ValueError`` for what is no message."""
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._buffer)
            if length > MAX_FRAME:
                raise ValueError("not a message of the relay")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            yield kind, payload
