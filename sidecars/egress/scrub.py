"""Taking a credential out of a response that repeats it, while the response streams."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_EXPANSION_BYTES = 16 * 1024 * 1024
_MIN_PATTERN = 8
_ESCAPE = re.compile(r"%[0-9A-F]{2}")


class DecodeError(ValueError):
    """A compressed response cannot be read, so it cannot be passed on."""


def encodings(secret: str) -> list[bytes]:
    """Return the forms of ``secret`` to look for: plain, percent, JSON, hex, and base64 at each of its alignments."""
    raw = secret.encode()
    percent = urllib.parse.quote(secret, safe="")
    in_json = json.dumps(secret)[1:-1]
    forms = {
        raw,
        percent.encode(),
        _ESCAPE.sub(lambda escape: escape[0].lower(), percent).encode(),
        in_json.encode(),
        in_json.replace("/", r"\/").encode(),
        raw.hex().encode(),
        raw.hex().upper().encode(),
    }
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.add(_aligned(encode(b"\0" * shift + raw), shift, len(raw)))
    kept = {form for form in forms if len(form) >= _MIN_PATTERN} | {raw}
    return sorted(kept, key=len, reverse=True)


def _aligned(encoded: bytes, shift: int, length: int) -> bytes:
    """Cut off the characters that also depend on what stands before and behind the secret."""
    start = (shift * 8 + 5) // 6
    end = (shift + length) * 8 // 6
    return encoded[start:end]


class Scrubber:
    """Replaces every occurrence of some byte patterns by asterisks of the same length, chunk by chunk.

    Held back is only what may be the beginning of a pattern; everything else is passed on at once.
    """

    def __init__(self, *secrets: str) -> None:
        forms = {form for secret in secrets for form in encodings(secret)}
        self._patterns = sorted(forms, key=len, reverse=True)
        self._longest = len(self._patterns[0])
        self._held = b""

    def __repr__(self) -> str:
        return "Scrubber(...)"

    def feed(self, data: bytes) -> bytes:
        """Return what can be passed on now, possibly nothing."""
        clean = self._replace(self._held + data)
        keep = self._possible_start(clean)
        self._held = clean[len(clean) - keep :]
        return clean[: len(clean) - keep]

    def end(self) -> bytes:
        """Return what was held back, now that nothing follows."""
        held, self._held = self._held, b""
        return held

    def whole(self, value: bytes) -> bytes:
        """Return ``value``, which is whole, without the secret."""
        return self._replace(value)

    def text(self, value: str) -> str:
        """Return ``value``, which is whole, without the secret."""
        raw = value.encode("utf-8", "surrogateescape")
        return self._replace(raw).decode("utf-8", "surrogateescape")

    def _replace(self, data: bytes) -> bytes:
        for pattern in self._patterns:
            # Looking for one byte first is many times as fast where it does not occur, as in padding.
            if pattern[:1] in data and pattern in data:
                data = data.replace(pattern, b"*" * len(pattern))
        return data

    def _possible_start(self, data: bytes) -> int:
        tail = data[-(self._longest - 1) :] if self._longest > 1 else b""
        longest = 0
        for pattern in self._patterns:
            position = tail.find(pattern[:1])
            while position >= 0:
                if len(tail) - position < len(pattern) and pattern.startswith(tail[position:]):
                    longest = max(longest, len(tail) - position)
                    break
                position = tail.find(pattern[:1], position + 1)
        return longest


class Inflater:
    """Decodes a gzip or deflate body in bounded steps. An upstream was asked for neither."""

    SUPPORTED = frozenset({"gzip", "x-gzip", "deflate"})

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(wbits=47)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decoded parts. Raises :class:`DecodeError` for garbage and for absurd expansion."""
        total = 0
        while data:
            try:
                part = self._decoder.decompress(data, 256 * 1024)
            except zlib.error as error:
                raise DecodeError("a compressed response is broken") from error
            total += len(part)
            if total > MAX_EXPANSION_BYTES:
                raise DecodeError("a compressed response expands without measure")
            if part:
                yield part
            data = self._decoder.unconsumed_tail
