"""The shapes in which a known value may leave: encoded, reversed, spelt out, broken up."""

from __future__ import annotations

import base64
import codecs
import math
import string

_ALPHANUMERIC = (string.ascii_letters + string.digits).encode()
_OTHERS = bytes(set(range(256)) - set(_ALPHANUMERIC))
_LOWER = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())


def squash(data: bytes) -> bytes:
    """Return only the letters and digits of ``data``, in lower case.

    Line breaks, separators, quotes, wide characters and the two alphabets of base64 all look alike then.
    """
    return data.translate(_LOWER, _OTHERS)


def base64_cores(value: bytes) -> list[bytes]:
    """Return what of ``value`` in base64 does not depend on its neighbours, at each of three alignments."""
    return [_core(base64.b64encode(bytes(shift) + value), 6, shift, len(value)) for shift in range(3)]


def base32_cores(value: bytes) -> list[bytes]:
    """Return the same for base32, at each of its five alignments."""
    return [_core(base64.b32encode(bytes(shift) + value), 5, shift, len(value)) for shift in range(5)]


def _core(encoded: bytes, bits: int, shift: int, length: int) -> bytes:
    return encoded[math.ceil(shift * 8 / bits) : (shift + length) * 8 // bits]


def exact_forms(value: bytes) -> set[bytes]:
    """Return the forms that are searched for as they are, upper and lower case kept apart."""
    cores = base64_cores(value)
    web = [core.replace(b"+", b"-").replace(b"/", b"_") for core in cores]
    return {value, value[::-1], *cores, *web}


def spelt_forms(value: bytes) -> set[bytes]:
    """Return the forms that are searched for in squashed text.

    Hex stands for percent-encoding too, and decimal for numeric entities and lists of bytes.
    """
    forms = [value, *base64_cores(value), *base32_cores(value), value.hex().encode()]
    forms += [codecs.encode(value.decode("latin-1"), "rot13").encode("latin-1")]
    forms += [
        _each(value, pattern)
        for pattern in ("{}", "x{:02x}", "0x{:02x}", "u{:04x}", "u00{:02x}", "{:08b}", "{:03o}")
    ]
    squashed = {squash(form) for form in forms}
    return squashed | {form[::-1] for form in squashed}


def _each(value: bytes, pattern: str) -> bytes:
    return "".join(pattern.format(byte) for byte in value).encode()
