"""Text from elsewhere made safe to show, and ages and sizes for people."""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters, marks and symbols that show nothing: by enough of them, the rest of a line is off the screen."""


def printable(text: str) -> str:
    """Return ``text`` with every control, format and bidirectional character written as an escape.

    What an agent or a manifest wrote can then neither move the cursor, recolour the screen nor reorder a line.
    """
    return "".join(character if _is_plain(character) else _escape(character) for character in text)


def _is_plain(character: str) -> bool:
    if _UNSEEN.match(character):
        return False
    return character == " " or unicodedata.category(character)[0] not in {"C", "Z"}


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def age(timestamp: str) -> str:
    """Return how long ago an RFC 3339 ``timestamp`` was, in its largest unit: ``5s``, ``3m``, ``2h``, ``4d``."""
    from datetime import UTC, datetime

    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds()
    except ValueError:
        return "-"
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(0, int(seconds))}s"


def size(count: int | None) -> str:
    """Return a number of bytes for people; ``-`` where it is not known."""
    if count is None:
        return "-"
    return f"{count / 2**30:.1f}G" if count >= 2**30 else f"{count / 2**20:.0f}M"
