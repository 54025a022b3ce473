"""Where a user's zygote listens. Every start and every key that was pressed waits for what is imported here."""

from __future__ import annotations

import os
import sys
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

served: list[str] = []
"""The socket of the zygote that this process is, or is a fork of; written by the zygote."""


def serves(runtime: Path | str) -> bool:
    """Say whether this process is a fork of the zygote whose socket is in ``runtime``."""
    return bool(served) and os.path.dirname(served[0]) == str(runtime)  # noqa: PTH120


def socket_path(runtime: Path | str, modules: Sequence[str]) -> str:
    """Return the socket of the zygote that has imported ``modules``, as they are installed now."""
    # Code that changed meanwhile is no reason to look for another zygote: a fork has its parent's.
    return served[0] if serves(runtime) else f"{runtime}/zygote-{build_id(modules)}.sock"


def build_id(modules: Sequence[str]) -> str:
    """Return a name for the code of ``modules`` as installed now: a zygote of other code is not used.

    It tells the user's own installations apart, and guards nothing.
    """
    lines = [sys.executable]
    for package in {name.partition(".")[0] for name in modules}:
        for directory in __import__(package).__path__:
            lines += _sources(directory)
    text = "\n".join(sorted(lines)).encode("utf-8", "surrogateescape")
    return f"{zlib.crc32(text):08x}{zlib.adler32(text):08x}"


def _sources(directory: str) -> Iterator[str]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                status = entry.stat()
                yield f"{entry.path}:{status.st_mtime_ns}:{status.st_size}"
            elif entry.name != "__pycache__" and entry.is_dir():
                yield from _sources(entry.path)
