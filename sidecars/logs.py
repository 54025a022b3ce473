"""What the log of a program that failed says about the cause."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

_TAIL_BYTES = 8192
_TRACEBACK = "Traceback (most recent call last):"


@dataclass(frozen=True)
class Log:
    """A log, of which only what is written from now on is of interest: there may be more, of an earlier run."""

    path: Path
    since: int

    @classmethod
    def from_now(cls, path: Path) -> Self:
        """Return the log at ``path``, which need not be there yet."""
        try:
            return cls(path, path.stat().st_size)
        except OSError:
            return cls(path, 0)

    def cause(self) -> str:
        """Return the line that says why a program ended: the error of the last traceback, or else the last one.

        Empty where nothing was written.
        """
        try:
            with self.path.open("rb") as stream:
                stream.seek(max(self.since, os.fstat(stream.fileno()).st_size - _TAIL_BYTES))
                lines = stream.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        raised: list[str] = []
        if _TRACEBACK in lines:
            start = len(lines) - lines[::-1].index(_TRACEBACK)
            raised = [line for line in lines[start:] if re.match(r"\w", line)][:1]
        said = raised or [line for line in lines if re.search(r"\w", line)]
        return said[-1].strip(" |+-") if said else ""
