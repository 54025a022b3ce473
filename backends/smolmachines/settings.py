"""The form of the settings that a machine's own programs read: without a library, in any image's Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def encode(settings: Mapping[str, Sequence[str]]) -> str:
    """Return lists of texts by name, as ``confine.read_settings`` reads them: NUL ends a text, two end a list.

    Raises ``ValueError`` for a text that is empty or has a NUL in it.
    """
    for name, values in settings.items():
        if any(not value or "\0" in value for value in (name, *values)):
            raise ValueError(f"{name}: a setting that cannot be written down")
    return "\0\0".join("\0".join([name, *values]) for name, values in settings.items())
