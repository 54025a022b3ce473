"""Text from elsewhere, made safe to show."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """Return ``text`` with every control, format and bidirectional character written as an escape.

    What an agent or a manifest wrote can then neither move the cursor, recolour the screen nor reorder a line.
    """
    return "".join(character if _is_plain(character) else _escape(character) for character in text)


def _is_plain(character: str) -> bool:
    return character == " " or unicodedata.category(character)[0] not in {"C", "Z"}


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
