"""What a program in a bottle learns of the terminal it is shown in, and what is noted of its output.

Each pane's process has this: it imports built-in modules only.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# TERM_PROGRAM: inside tmux, programs ask for keys such as Shift+Enter only if they know that they are.
TERMINAL_VARIABLES = ("TERM", "COLORTERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION")

_MARK_OPTION = "--output-mark"
_MARK_EVERY_S = 0.5
_REDRAWN_IN_S = 1.0


def terminal_environ() -> dict[str, str]:
    """Return the variables that describe this process's terminal. None of them is secret."""
    return {name: os.environ[name] for name in TERMINAL_VARIABLES if name in os.environ}


class OutputMark:
    """Touches the file ``path`` when a program has shown something.

    What it draws anew for another size of its window is not that: somebody came to look, that is all.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._due = 0.0

    def resized(self) -> None:
        """Note that the window has another size."""
        self._due = time.monotonic() + _REDRAWN_IN_S

    def shown(self) -> None:
        """Note that there was output. A file that cannot be touched is nobody's concern here."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _MARK_EVERY_S
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        os.utime(descriptor)
        os.close(descriptor)


def mark_options(output: Path, argv: Sequence[str]) -> list[str]:
    """Return what makes a pane's process touch ``output`` if ``argv`` is the agent's program; nothing otherwise."""
    from backends.programs import START_SCRIPT

    return [_MARK_OPTION, str(output)] if argv[0] == START_SCRIPT else []


def take_mark(options: list[str]) -> OutputMark | None:
    """Take what :func:`mark_options` gave out of ``options``; the program of the mark begins now."""
    if _MARK_OPTION not in options:
        return None
    at = options.index(_MARK_OPTION)
    mark = OutputMark(options[at + 1])
    del options[at : at + 2]
    mark.shown()
    return mark
