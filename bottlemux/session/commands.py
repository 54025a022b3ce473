"""Turning tmux commands, as lists of words, into what a tmux client reads, without loss or injection.

tmux reads commands in two ways: from the client's own argument list, where a word that ends in ``;``
separates commands, and from text (``source-file -``), which has quotes and escapes. Both are handled here and
nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_REQUEST_BYTES = 12 * 1024
"""A client's request over 16 KiB, with its framing, is refused by tmux; above this, commands go as text."""

_RUN_ONE = ("sh", "-c", 'exec "$0"')


def to_arguments(commands: Iterable[Sequence[str]]) -> list[str]:
    """Return the words by which one client runs ``commands`` in order, stopping at the first that fails."""
    words: list[str] = []
    for command in commands:
        if words:
            words.append(";")
        words.extend(_escape(word) for word in command)
    return words


def to_source(commands: Iterable[Sequence[str]]) -> str:
    """Return the same as one line of tmux's configuration language.

    It is one line because tmux goes on with the next line when a command of the one before failed.
    """
    return " ; ".join(" ".join(_quote(word) for word in command) for command in commands) + "\n"


def fits_one_request(words: Sequence[str]) -> bool:
    """Tell whether tmux takes ``words`` as one client's argument list."""
    return sum(len(word.encode("utf-8", "surrogateescape")) + 1 for word in words) <= MAX_REQUEST_BYTES


def as_process(argv: Sequence[str]) -> tuple[str, ...]:
    """Return ``argv`` such that tmux runs it as it is: it would give a single word to a shell."""
    if not argv or not argv[0]:
        raise UsageError("a pane needs a program to run")
    return (*_RUN_ONE, argv[0]) if len(argv) == 1 else tuple(argv)


def delayed(argv: Sequence[str], seconds: float) -> tuple[str, ...]:
    """Return the process that becomes ``argv`` after ``seconds``: it takes no time from what is made meanwhile."""
    return ("sh", "-c", 'sleep "$0" && exec "$@"', str(seconds), *argv)


def _escape(word: str) -> str:
    _refuse_nul(word)
    return f"{word[:-1]}\\;" if word.endswith(";") else word


def _quote(word: str) -> str:
    _refuse_nul(word)
    # A newline inside quotes would swallow the blanks and comments that follow it, an escaped one does not.
    return "'" + word.replace("'", "'\"'\"'").replace("\n", "'\"\\n\"'") + "'"


def _refuse_nul(word: str) -> None:
    if "\0" in word:
        raise UsageError("a NUL character cannot be passed to tmux")
