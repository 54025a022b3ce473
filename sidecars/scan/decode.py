"""Looks for packed content in other content: compressed streams and archive members, wherever they begin."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from sidecars.scan.budget import UnreadableError
from sidecars.scan.inflate import inflate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidecars.scan.budget import Budget

# Streams that announce themselves. A tar needs no entry: its bytes lie open, and packed members are found.
_STREAMS = {
    b"\x1f\x8b\x08": "gzip-member",
    b"\x28\xb5\x2f\xfd": "zstd-frame",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
}
_BZIP2_BLOCK = b"1AY&SY"
_ZLIB_HEADERS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
# Containers nothing here can open.
_SEALED = (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x04\x22\x4d\x18", b"LZIP\x01", b"\x1f\x9d\x90")

_ZIP_MEMBER = b"PK\x03\x04"
_ZIP_HEADER = struct.Struct("<4sHHHHHLLLHH")
_ZIP_METHODS = {8: "raw", 12: "bzip2", 93: "zstd-frame", 95: "xz"}
_ZIP_STORED = 0
_ZIP_ENCRYPTED = 1
_ZIP_NEWEST_VERSION = 63
_ZIP_LONGEST_NAME = 4096


def packed(data: bytes, budget: Budget) -> Iterator[bytes]:
    """Yield what is packed directly in ``data``, unpacked. The caller looks into it for the next layer.

    A damaged stream yields what could be read of it. Containers that are encrypted or that nothing here can
    open are an :class:`UnreadableError`.
    """
    if data.startswith(_SEALED):
        raise UnreadableError("unknown-encoding")
    whole = memoryview(data)
    if data.startswith(_ZLIB_HEADERS):
        yield inflate("deflate", whole, budget)[0]
    for magic, name in _STREAMS.items():
        for start in _occurrences(data, magic, budget):
            if name != "bzip2" or data.startswith(_BZIP2_BLOCK, start + 4):
                yield inflate(name, whole[start:], budget)[0]
    yield from _zip_members(data, budget)


def _occurrences(data: bytes, magic: bytes, budget: Budget) -> Iterator[int]:
    start = data.find(magic)
    while start >= 0:
        budget.check_time()
        yield start
        start = data.find(magic, start + len(magic))


def _zip_members(data: bytes, budget: Budget) -> Iterator[bytes]:
    """Members by their own headers, so that a doctored central directory hides none. Stored ones lie open."""
    whole = memoryview(data)
    for start in _occurrences(data, _ZIP_MEMBER, budget):
        if start + _ZIP_HEADER.size > len(data):
            return
        _, version, flags, method, _, _, _, _, _, name, extra = _ZIP_HEADER.unpack_from(data, start)
        if version & 0xFF > _ZIP_NEWEST_VERSION or name > _ZIP_LONGEST_NAME:
            continue
        if flags & _ZIP_ENCRYPTED:
            raise UnreadableError("encrypted")
        if method == _ZIP_STORED:
            continue
        if method not in _ZIP_METHODS:
            raise UnreadableError("unknown-encoding")
        yield inflate(_ZIP_METHODS[method], whole[start + _ZIP_HEADER.size + name + extra :], budget)[0]
