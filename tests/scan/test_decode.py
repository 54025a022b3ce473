from __future__ import annotations

import base64
import bz2
import contextlib
import gzip
import io
import lzma
import resource
import tarfile
import time
import zipfile
import zlib
from typing import TYPE_CHECKING

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecars.scan.budget import Budget, Limits, UnreadableError
from sidecars.scan.engine import Engine
from sidecars.scan.exact import SecretNeedles
from sidecars.scan.inflate import undo_content_encoding
from sidecars.scan.inspect import Inspector
from sidecars.scan.library import own_rules, provider_engine
from tests.scan.corpus import planted

if TYPE_CHECKING:
    from collections.abc import Callable

CASE = next(case for case in planted() if case.name == "anthropic-api")
TEXT = b"line\n" * 50 + CASE.text.encode() + b"line\n" * 50
INSPECTOR = Inspector(provider_engine(), SecretNeedles([]))
MIB = 1 << 20


def _zip(method: int, *, name: str = "a.txt", content: bytes = TEXT) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def _streamed_zip() -> bytes:
    class Pipe(io.RawIOBase):
        data = b""

        def writable(self) -> bool:
            return True

        def write(self, chunk) -> int:  # type: ignore[no-untyped-def, override]
            self.data += bytes(chunk)
            return len(chunk)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[type-var]
        archive.writestr("a.txt", TEXT)
    return pipe.data


def _tar(mode: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        member = tarfile.TarInfo("a/b.txt")
        member.size = len(TEXT)
        archive.addfile(member, io.BytesIO(TEXT))
    return stream.getvalue()


def _nested(levels: int) -> bytes:
    data = TEXT
    for _ in range(levels):
        data = gzip.compress(data)
    return data


PACKED: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: gzip.compress(TEXT),
    "gzip-members": lambda: gzip.compress(b"harmless") + gzip.compress(TEXT),
    "gzip-truncated": lambda: gzip.compress(TEXT)[:-9],
    "zlib": lambda: zlib.compress(TEXT),
    "bzip2": lambda: bz2.compress(TEXT),
    "xz": lambda: lzma.compress(TEXT),
    "zstd": lambda: zstandard.compress(TEXT),
    "zstd-frames": lambda: zstandard.compress(b"harmless") + zstandard.compress(TEXT),
    "zip-deflated": lambda: _zip(zipfile.ZIP_DEFLATED),
    "zip-stored": lambda: _zip(zipfile.ZIP_STORED),
    "zip-bzip2": lambda: _zip(zipfile.ZIP_BZIP2),
    "zip-streamed": _streamed_zip,
    "zip-without-directory": lambda: _zip(zipfile.ZIP_DEFLATED)[:-60],
    "zip-after-picture": lambda: b"\x89PNG\r\n" + bytes(5000) + _zip(zipfile.ZIP_DEFLATED),
    "zip-in-zip": lambda: _zip(zipfile.ZIP_DEFLATED, content=_zip(zipfile.ZIP_DEFLATED)),
    "gzip-in-stored-zip": lambda: _zip(zipfile.ZIP_STORED, content=gzip.compress(TEXT)),
    "tar": lambda: _tar("w"),
    "tar-gz": lambda: _tar("w:gz"),
    "tar-xz": lambda: _tar("w:xz"),
    "gzip-inside-text": lambda: b"some text first\n" + gzip.compress(TEXT) + b"\nand after",
    "gzip-four-times": lambda: _nested(4),
    "base64-of-zip": lambda: base64.b64encode(_zip(zipfile.ZIP_DEFLATED)),
    "base64-wrapped-gzip": lambda: base64.encodebytes(gzip.compress(TEXT + bytes(range(256)))),
    "utf-16-le": lambda: TEXT.decode().encode("utf-16-le"),
    "utf-16-be-in-gzip": lambda: gzip.compress(TEXT.decode().encode("utf-16-be")),
}


@pytest.mark.parametrize("make", PACKED.values(), ids=PACKED.keys())
def test_finds_a_secret_in_packed_content(make: Callable[[], bytes]) -> None:
    assert INSPECTOR.rules(make()) == ["anthropic-key"]


@pytest.mark.parametrize("make", PACKED.values(), ids=PACKED.keys())
def test_packed_content_without_a_secret_passes(make: Callable[[], bytes]) -> None:
    assert Inspector(Engine(own_rules().tagged("nothing")), SecretNeedles([])).rules(make()) == []


def test_names_in_archives_are_content_too() -> None:
    assert INSPECTOR.first(_zip(zipfile.ZIP_DEFLATED, name=CASE.secret, content=b"harmless"))


CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP": lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:]),
    "deflate": zlib.compress,
    "deflate, identity": lambda data: zlib.compress(data)[2:-4],
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
    "identity": bytes,
    "": bytes,
}


@pytest.mark.parametrize(("header", "encode"), CODECS.items(), ids=CODECS.keys())
def test_undoes_content_encodings(header: str, encode: Callable[[bytes], bytes]) -> None:
    assert undo_content_encoding(header, encode(TEXT), Budget(Limits())) == TEXT


@pytest.mark.parametrize(
    ("header", "data", "reason"),
    [
        ("compress", b"x", "unknown-encoding"),
        ("aes128gcm", b"x", "unknown-encoding"),
        ("gzip", b"no gzip", "damaged"),
        ("gzip", gzip.compress(TEXT)[:-4], "damaged"),
        ("gzip", gzip.compress(TEXT) + b"\x1f\x8bgarbage", "damaged"),
        ("br", brotli.compress(TEXT)[:-4], "damaged"),
        ("br", b"\xff\xff\xff", "damaged"),
        ("zstd", b"no zstd", "damaged"),
        ("deflate", b"\xff\xff\xff", "damaged"),
        ("gzip," * 8, _nested(8), "too-deep"),
    ],
)
def test_what_cannot_be_decoded_is_unreadable(header: str, data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        undo_content_encoding(header, data, Budget(Limits()))
    assert caught.value.reason == reason


def _many_members() -> bytes:
    return _zip(zipfile.ZIP_DEFLATED, content=b"x" * 50) * 400


def _encrypted() -> bytes:
    plain = bytearray(_zip(zipfile.ZIP_DEFLATED))
    plain[6] |= 1
    return bytes(plain)


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "gzip": (lambda: gzip.compress(bytes(80 * MIB), 9), "too-large"),
    "xz": (lambda: lzma.compress(bytes(60 * MIB), preset=0), "too-large"),
    "bzip2": (lambda: bz2.compress(bytes(60 * MIB)), "too-large"),
    "zstd": (lambda: zstandard.compress(bytes(80 * MIB)), "too-large"),
    "zip": (lambda: _zip(zipfile.ZIP_DEFLATED, content=bytes(100 * MIB)), "too-large"),
    "gzip-of-gzip": (lambda: gzip.compress(gzip.compress(bytes(80 * MIB))), "too-large"),
    "deep": (lambda: _nested(9), "too-deep"),
    "many": (_many_members, "too-many"),
    "encrypted-zip": (_encrypted, "encrypted"),
    "seven-zip": (lambda: b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(100), "unknown-encoding"),
    "rar": (lambda: b"Rar!\x1a\x07\x01\x00" + bytes(100), "unknown-encoding"),
    "overlapping": (lambda: b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" * 50_000, "too-many"),
}


@pytest.mark.parametrize(("make", "reason"), BOMBS.values(), ids=BOMBS.keys())
def test_bombs_are_refused_soon_and_in_little_memory(make: Callable[[], bytes], reason: str) -> None:
    data = make()
    inspector = Inspector(provider_engine(), SecretNeedles([]), Limits(max_bytes=16 * MIB, max_items=300))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    with pytest.raises(UnreadableError) as caught:
        inspector.rules(data)
    assert caught.value.reason == reason
    assert time.monotonic() - start < 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 120_000


@pytest.mark.parametrize("header", ["gzip", "br", "zstd", "deflate"])
def test_content_encoding_bombs_are_refused(header: str) -> None:
    data = CODECS[header](bytes(60 * MIB))
    with pytest.raises(UnreadableError, match="too-large"):
        undo_content_encoding(header, data, Budget(Limits(max_bytes=16 * MIB)))


def test_time_is_bounded() -> None:
    with pytest.raises(UnreadableError, match="too-slow"):
        Inspector(provider_engine(), SecretNeedles([]), Limits(max_seconds=-1)).rules(gzip.compress(TEXT))


def test_the_reason_is_all_an_error_tells() -> None:
    assert str(UnreadableError("damaged")) == "content cannot be inspected: damaged"


MAGICS = [
    b"\x1f\x8b\x08",
    b"\x28\xb5\x2f\xfd",
    b"\xfd7zXZ\x00",
    b"BZh91AY&SY",
    b"PK\x03\x04",
    b"\x78\x9c",
    b"\\u00",
    b"%4",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(MAGICS) | st.binary(max_size=40), max_size=12).map(b"".join))
def test_no_input_raises_anything_but_unreadable(data: bytes) -> None:
    with contextlib.suppress(UnreadableError):
        INSPECTOR.rules(data)


def test_a_budget_ends_in_each_dimension() -> None:
    for spend in (lambda each: each.check_time(), lambda each: each.item(), lambda each: each.take(1)):
        with pytest.raises(UnreadableError):
            spend(Budget(Limits(max_bytes=0, max_items=0, max_seconds=-1)))
    with pytest.raises(UnreadableError, match="too-slow"):
        Budget(Limits(max_seconds=-1)).take(0)
