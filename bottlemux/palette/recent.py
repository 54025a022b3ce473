"""What was chosen lately. A small file in the state directory; losing it costs nothing but the order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from bottlemux.paths import Paths

_KEPT = 50
_MAX_BYTES = 64 * 1024


def load_recent(paths: Paths) -> list[str]:
    """Return the keys of the rows chosen lately, the newest first; nothing for a file that makes no sense."""
    try:
        with paths.recent.open("rb") as stream:
            value: object = json.loads(stream.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(value, list):
        return []
    return [key for key in cast("list[object]", value) if isinstance(key, str)][:_KEPT]


def note_recent(paths: Paths, key: str) -> None:
    """Put ``key`` in front. A state directory that cannot be written is no error."""
    from bottlemux.files import make_private_dir, write_atomic

    keys = [key, *(other for other in load_recent(paths) if other != key)]
    try:
        make_private_dir(paths.state)
        write_atomic(paths.recent, json.dumps(keys[:_KEPT]))
    except OSError:
        return
