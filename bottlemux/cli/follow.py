"""Printing files that grow."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # a pane that follows a log stays for as long as its bottle: little memory
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_PAUSE_S = 0.2


class Tail:
    """The whole lines of one file, from its beginning; goes on with a new file that takes its place."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self._offset = 0
        self._inode = 0
        self._rest = b""

    def new_lines(self) -> list[str]:
        """Return the lines that were completed since the last call."""
        try:
            status = os.stat(self.path)  # noqa: PTH116
            if status.st_ino != self._inode or status.st_size < self._offset:
                self._offset, self._inode, self._rest = 0, status.st_ino, b""
            with open(self.path, "rb") as stream:  # noqa: PTH123
                stream.seek(self._offset)
                data = stream.read()
        except FileNotFoundError:
            return []
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode(errors="replace") for line in lines]


def follow[PathT: (Path, str)](paths: Sequence[PathT], *, forever: bool) -> Iterator[tuple[PathT, str]]:
    """Yield each line of ``paths`` with its file; with ``forever`` goes on as they grow."""
    tails = [(path, Tail(path)) for path in paths]
    while True:
        for path, tail in tails:
            for line in tail.new_lines():
                yield path, line
        if not forever:
            return
        time.sleep(_PAUSE_S)
