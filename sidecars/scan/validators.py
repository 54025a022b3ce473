"""Checks a pattern cannot express: checksums and structure. A failed one proves the text no live credential.

Each takes the secret a rule found and says whether it can be real. None raises on any input.
"""

from __future__ import annotations

import base64
import binascii
import json
import string
import zlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_CHECKSUM_LENGTH = 6
_LEAST_KEY_BYTES = 32


def _base62(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = _BASE62[rest] + digits
    return digits.rjust(_CHECKSUM_LENGTH, "0")


def checksum62(payload: bytes) -> bytes:
    """Return the six characters that end a token of the GitHub and npm form: its CRC-32 in base 62."""
    return _base62(zlib.crc32(payload)).encode()


def _crc_token(secret: bytes) -> bool:
    payload = secret.rpartition(b"_")[2]
    return checksum62(payload[:-_CHECKSUM_LENGTH]) == payload[-_CHECKSUM_LENGTH:]


def _unpadded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_")
    except (binascii.Error, ValueError):
        return b""


def _json_object(text: bytes) -> dict[str, object]:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _jwt(secret: bytes) -> bool:
    header, _, rest = secret.partition(b".")
    claims = _json_object(_unpadded(rest.partition(b".")[0]))
    return isinstance(_json_object(_unpadded(header)).get("alg"), str) and claims != {}


def _pem(secret: bytes) -> bool:
    lines = secret.replace(b"\\n", b"\n").replace(b"\\r", b"").splitlines()
    body = b"".join(line.strip(b" \t\r\"',+>|") for line in lines[1:-1] if b":" not in line)
    return len(_unpadded(body.replace(b"+", b"-").replace(b"/", b"_").rstrip(b"="))) >= _LEAST_KEY_BYTES


VALIDATORS: dict[str, Callable[[bytes], bool]] = {
    "crc62": _crc_token,
    "jwt": _jwt,
    "pem": _pem,
}
