"""What was chosen lately. A small file in the state directory; losing it costs nothing but the order."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from bottlemux.files import read_json

if TYPE_CHECKING:
    from bottlemux.paths import Paths

_KEPT = 50
_MAX_BYTES = 64 * 1024


def load_recent(paths: Paths) -> list[str]:
    """Return the keys of the rows chosen lately, the newest first; nothing for a file that makes no sense."""
    try:
        value = read_json(paths.recent, _MAX_BYTES)
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(value, list):
        return []
    return [key for key in cast("list[object]", value) if isinstance(key, str)][:_KEPT]


def note_recent(paths: Paths, key: str) -> None:
    """Put ``key`` in front. A state directory that cannot be written is no error."""
    from bottlemux.files import make_private_dir, write_json

    keys = [key, *(other for other in load_recent(paths) if other != key)]
    try:
        make_private_dir(paths.state)
        write_json(paths.recent, keys[:_KEPT])
    except OSError:
        return
