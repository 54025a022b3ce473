"""What a program in a bottle learns of the terminal it is shown in."""

from __future__ import annotations

import os

# TERM_PROGRAM: inside tmux, programs ask for keys such as Shift+Enter only if they know that they are.
TERMINAL_VARIABLES = ("TERM", "COLORTERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION")


def terminal_environ() -> dict[str, str]:
    """Return the variables that describe this process's terminal. None of them is secret."""
    return {name: os.environ[name] for name in TERMINAL_VARIABLES if name in os.environ}
