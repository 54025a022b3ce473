"""The same content as other readers would see it: wide characters narrowed, escapes and encodings undone."""

from __future__ import annotations

import base64
import binascii
import re
import string
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from sidecars.scan.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROUNDS = 3
_ESCAPE = re.compile(
    rb"\\(?:u00([0-9a-fA-F]{2})|x([0-9a-fA-F]{2})|u\{0*([0-9a-fA-F]{2})\}|([\"'/nrt]))"
    rb"|&#(?:[xX]0*([0-9a-fA-F]{2})|0*([0-9]{2,3}));|&(amp|lt|gt|quot);"
)
_NAMED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"'}
_PRINTABLE = string.printable.encode()
_TOLERATED = 0.1
_MAGICS = (b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"\xfd7zXZ", b"BZh", b"\x78\x9c", b"\x78\xda")
_SHORTEST_DECODED = 8


def text_views(data: bytes) -> Iterator[bytes]:
    """Yield ``data``, then other readings: without zero bytes, and its escaped lines with the escapes undone.

    None is longer than ``data``. Escapes are undone as often as they are nested, three times at most.
    """
    yield data
    if b"\0" in data:
        data = data.replace(b"\0", b"")
        yield data
    for _ in range(_ROUNDS):
        escaped = [data[slice(*spans[0])] for spans in _escaped_lines().spans(data)]
        if not escaped:
            return
        data = _unescaped(b"\n".join(escaped))
        yield data


def _unescaped(data: bytes) -> bytes:
    if b"%" in data:
        data = unquote_to_bytes(data)
    if b"\\" in data or b"&" in data:
        data = _ESCAPE.sub(_character, data)
    return data


def _character(match: re.Match[bytes]) -> bytes:
    short_u, byte, braced, letter, hexadecimal, decimal, entity = match.groups()
    if digits := short_u or byte or braced or hexadecimal:
        return bytes([int(digits, 16)])
    if decimal:
        return bytes([int(decimal) & 0xFF])
    return _NAMED.get(letter or entity, letter)


@cache
def _escaped_lines() -> Pattern:
    # The hint only chooses lines; simple escapes such as a newline's alone do not, rules expect those.
    return Pattern(r"[^\n]*(?:%[0-9a-fA-F]{2}|\\(?:u00|x|u\{|/)|&#)[^\n]*")


@cache
def _runs() -> tuple[Pattern, Pattern]:
    base = Pattern(r"(?:[A-Za-z0-9+/_-]{60,}\r?\n)+[A-Za-z0-9+/_-]*={0,2}|[A-Za-z0-9+/_-]{24,}={0,2}")
    line = r"(?:[0-9a-fA-F]{2}){16,}"
    return base, Pattern(rf"(?:{line}\r?\n)+(?:[0-9a-fA-F]{{2}})*|{line}")


def embedded(data: bytes) -> bytes:
    """Return what the runs of base64 and hex in ``data`` decode to, a line each, if it is text or packed."""
    base, hexadecimal = _runs()
    found = [_base64(data[slice(*spans[0])]) for spans in base.spans(data)]
    found += [part for spans in hexadecimal.spans(data) for part in _hex(data[slice(*spans[0])])]
    return b"\n".join(decoded for decoded in found if _is_content(decoded))


def _base64(run: bytes) -> bytes:
    text = run.replace(b"\r", b"").replace(b"\n", b"").rstrip(b"=")
    text = text.replace(b"-", b"+").replace(b"_", b"/")
    text = text[: len(text) - (len(text) % 4 == 1)]
    return base64.b64decode(text + b"=" * (-len(text) % 4))


def _hex(run: bytes) -> list[bytes]:
    """Return what ``run`` decodes to, and each of several lines: what one holds is hidden among digests otherwise."""
    lines = [binascii.unhexlify(line) for line in run.split()]
    return [b"".join(lines), *(lines if len(lines) > 1 else ())]


def _is_content(decoded: bytes) -> bool:
    if len(decoded) < _SHORTEST_DECODED:
        return False
    if decoded.startswith(_MAGICS):
        return True
    strange = len(decoded.replace(b"\0", b"").translate(None, _PRINTABLE))
    return strange <= _TOLERATED * len(decoded)
