"""Bounded decompression of one stream: what is produced is accounted for before more is produced."""

from __future__ import annotations

import bz2
import importlib
import lzma
import zlib
from typing import TYPE_CHECKING, Any

from sidecars.scan.budget import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from sidecars.scan.budget import Budget

CHUNK = 64 << 10
_WINDOW = 128 << 20
_FIRST_CHUNK = 1 << 10
_GZIP, _ZLIB, _RAW = 31, 15, -15
_DEFLATE_METHOD = 8

type Buffer = bytes | memoryview


class DamagedError(Exception):
    """The stream is not what it claims to be, or ends too early."""


def _zlib(data: Buffer, wbits: int) -> Generator[bytes, None, int]:
    """Unpack one stream; the generator's value is where it ended."""
    stream = zlib.decompressobj(wbits)
    position, step = 0, _FIRST_CHUNK
    while not stream.eof:
        pending = bytes(data[position : position + step])
        position, step = position + len(pending), min(step * 2, CHUNK)
        if not pending:
            yield stream.flush()
            raise DamagedError
        while pending and not stream.eof:
            yield stream.decompress(pending, CHUNK)
            pending = stream.unconsumed_tail
    return position - len(stream.unused_data)


def _gzip_file(data: Buffer) -> Iterator[bytes]:
    position = 0
    while position == 0 or data[position : position + 2] == b"\x1f\x8b":
        position += yield from _zlib(data[position:], _GZIP)


def _deflate(data: Buffer) -> Iterator[bytes]:
    # The name stands for the zlib form; many senders leave the header out.
    header = int.from_bytes(data[:2]) if len(data) > 1 else 1
    return _zlib(data, _ZLIB if header % 31 == 0 and data[0] & 15 == _DEFLATE_METHOD else _RAW)


def _blocks(data: Buffer, stream: Any) -> Iterator[bytes]:
    for start in range(0, len(data), CHUNK):
        yield stream.decompress(data[start : start + CHUNK], CHUNK)
        while not stream.eof and not stream.needs_input:
            yield stream.decompress(b"", CHUNK)
        if stream.eof:
            return
    raise DamagedError


def _zstd(data: Buffer, *, frames: bool) -> Iterator[bytes]:
    zstandard: Any = importlib.import_module("zstandard")
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    reader = decompressor.stream_reader(data, read_across_frames=frames)
    try:
        while chunk := reader.read(CHUNK):
            yield chunk
    except zstandard.ZstdError as error:
        raise DamagedError from error


def _brotli(data: Buffer) -> Iterator[bytes]:
    brotli: Any = importlib.import_module("brotli")
    stream = brotli.Decompressor()
    try:
        yield stream.process(data, output_buffer_limit=CHUNK)
        while not stream.is_finished() and not stream.can_accept_more_data():
            yield stream.process(b"", output_buffer_limit=CHUNK)
    except brotli.error as error:
        raise DamagedError from error
    if not stream.is_finished():
        raise DamagedError


DECODERS: dict[str, Callable[[Buffer], Iterator[bytes]]] = {
    "gzip": _gzip_file,
    "gzip-member": lambda data: _zlib(data, _GZIP),
    "deflate": _deflate,
    "raw": lambda data: _zlib(data, _RAW),
    "br": _brotli,
    "zstd": lambda data: _zstd(data, frames=True),
    "zstd-frame": lambda data: _zstd(data, frames=False),
    "xz": lambda data: _blocks(data, lzma.LZMADecompressor(memlimit=_WINDOW)),
    "bzip2": lambda data: _blocks(data, bz2.BZ2Decompressor()),
}
"""Stream decoders by name; each yields chunks of bounded size."""

_ALIASES = {"x-gzip": "gzip", "x-deflate": "deflate"}
_NOTHING = {"", "identity"}


def inflate(name: str, data: Buffer, budget: Budget) -> tuple[bytes, bool]:
    """Unpack ``data`` with decoder ``name``; return what came out, and whether the stream was whole."""
    budget.item()
    produced = bytearray()
    try:
        for chunk in DECODERS[name](data):
            budget.take(len(chunk))
            produced += chunk
    except (DamagedError, zlib.error, lzma.LZMAError, OSError, ValueError, EOFError):
        return bytes(produced), False
    return bytes(produced), True


def undo_content_encoding(header: str, data: bytes, budget: Budget) -> bytes:
    """Undo the encodings a Content-Encoding header names, last applied first.

    Unknown names and damaged streams are an :class:`UnreadableError`: the receiver might read them
    differently.
    """
    names = [name.strip().lower() for name in header.split(",")]
    if len(names) > budget.max_depth:
        raise UnreadableError("too-deep")
    for name in reversed([_ALIASES.get(name, name) for name in names if name not in _NOTHING]):
        if name not in {"gzip", "deflate", "br", "zstd"}:
            raise UnreadableError("unknown-encoding")
        data, whole = inflate(name, data, budget)
        if not whole:
            raise UnreadableError("damaged")
    return data
