"""Talking to the person at the terminal."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from bottlemux.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

_PATIENCE_S = 0.7
_COLOURS = {"ok": "32", "warning": "33", "error": "31", "dim": "2"}
_FRAMES = "|/-\\"
_CLEAR_LINE = "\r\033[K"


def coloured(text: str, meaning: str) -> str:
    """Return ``text`` in the colour of ``meaning`` (``ok``, ``warning``, ``error``) where standard output shows any."""
    import os

    code = _COLOURS.get(meaning)
    plain = (
        code is None
        or not sys.stdout.isatty()
        or os.environ.get("NO_COLOR")
        or os.environ.get("TERM") == "dumb"
    )
    return text if plain else f"\x1b[{code}m{text}\x1b[0m"


def is_interactive() -> bool:
    """Say whether a person is at both ends: standard input and output are terminals."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def confirm(question: str) -> bool:
    """Ask a yes/no question; anything but yes is no. Without a terminal there is nobody to ask."""
    if not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to confirm on", hint="give --yes to go ahead without a question"
        )
    sys.stdout.write(f"{question} [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


@contextlib.contextmanager
def progress(text: str) -> Generator[Callable[[str], None]]:
    """Show that something goes on, once it takes longer than a moment; only on a terminal.

    Yields what alone may write meanwhile: it puts a line on standard error.
    """
    if not sys.stderr.isatty():
        yield _say
        return
    done, turn = threading.Event(), threading.Lock()
    spinner = threading.Thread(target=_spin, args=(text, done, turn), daemon=True)
    spinner.start()

    def say(line: str) -> None:
        with turn:
            _say(f"{_CLEAR_LINE}{line}")

    try:
        yield say
    finally:
        done.set()
        spinner.join()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _spin(text: str, done: threading.Event, turn: threading.Lock) -> None:
    if done.wait(_PATIENCE_S):
        return
    frame = 0
    while not done.wait(0.1):
        with turn:
            sys.stderr.write(f"\r{_FRAMES[frame % len(_FRAMES)]} {text}")
            sys.stderr.flush()
        frame += 1
    sys.stderr.write(_CLEAR_LINE)
    sys.stderr.flush()


@contextlib.contextmanager
def telling_when_interrupted(state: Callable[[], str]) -> Generator[None]:
    """Have an interruption say, in one line, in which ``state`` it leaves things."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(state()) from None


class Become(Exception):  # noqa: N818 - not an error: what the process shall turn into
    """Asks the process that the person started to replace itself by ``argv``."""

    def __init__(self, argv: Sequence[str]) -> None:
        super().__init__(argv[0])
        self.argv = list(argv)


def become(argv: Sequence[str]) -> NoReturn:
    """End this command by running ``argv`` in its place."""
    raise Become(argv)


def table(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> Iterator[str]:
    """Yield aligned lines of ``rows`` below ``headings``, every cell safe for a terminal."""
    from bottlemux.text import printable

    cells = [[printable(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def write_rows(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> None:
    """Write ``rows``: a table with headings at a terminal, tab-separated for a program."""
    from bottlemux.text import printable

    if sys.stdout.isatty():
        lines = table(rows, [heading.upper() for heading in headings])
    else:
        lines = ("\t".join(map(printable, row)) for row in rows)
    write_columns("".join(f"{line}\n" for line in lines))


def fits(line: str) -> bool:
    """Tell whether ``line`` is no wider than the terminal, or standard output is none."""
    if not sys.stdout.isatty():
        return True
    import shutil

    return len(line) <= shutil.get_terminal_size().columns


def wrapped(text: str, indent: int) -> str:
    """Return ``text``, which begins in column ``indent``, broken there where a terminal is too narrow for it."""
    if not sys.stdout.isatty():
        return text
    import shutil
    import textwrap

    width = max(shutil.get_terminal_size().columns - indent, 20)
    return f"\n{'':<{indent}}".join(textwrap.wrap(text, width, break_on_hyphens=False))


def write_columns(text: str) -> None:
    """Write lines of aligned columns; a terminal too narrow has them broken between words, below their last column."""
    if sys.stdout.isatty():
        import shutil

        from bottlemux.screens.lines import wrapped as broken

        text = "\n".join(broken(text.split("\n"), shutil.get_terminal_size().columns))
    sys.stdout.write(text)


def remark(text: str) -> None:
    """Tell a person something that no script wants to read: only where standard error is a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")


def write_json(value: object) -> None:
    """Write one JSON document to standard output, in ASCII: what an agent wrote must not move a terminal's cursor."""
    import json

    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def counted(count: int, thing: str) -> str:
    """Return how many there are of a ``thing``: ``no things``, ``1 thing``, ``2 things``."""
    return f"{count or 'no'} {thing}{'' if count == 1 else 's'}"
