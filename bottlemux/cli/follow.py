"""Printing files that grow."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # a pane that follows a log stays for as long as its bottle: little memory
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

_PAUSE_S = 0.2


class Tail:
    """The whole lines of one file, from its beginning; goes on with a new file that takes its place."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self._stream: BinaryIO | None = None
        self._rest = b""

    def new_lines(self) -> list[str]:
        """Return the lines that were completed since the last call, of a file that was replaced its last ones."""
        lines = self._read()
        if self._was_replaced():
            lines += self._read()  # what came between
            self._rest = b""
            if self._stream is not None:
                self._stream.close()
            self._stream = self._opened()
            lines += self._read()
        return [line.decode(errors="replace") for line in lines]

    def _read(self) -> list[bytes]:
        if self._stream is None:
            return []
        if os.fstat(self._stream.fileno()).st_size < self._stream.tell():
            self._stream.seek(0)
            self._rest = b""
        *lines, self._rest = (self._rest + self._stream.read()).split(b"\n")
        return lines

    def _was_replaced(self) -> bool:
        try:
            now = os.stat(self.path)  # noqa: PTH116
        except FileNotFoundError:
            return False
        return self._stream is None or os.fstat(self._stream.fileno()).st_ino != now.st_ino

    def _opened(self) -> BinaryIO | None:
        try:
            return open(self.path, "rb", buffering=0)  # noqa: PTH123
        except FileNotFoundError:
            return None


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
