"""Layouts of a project: said where one is passed over, and asked about where one brings commands of its own."""

from __future__ import annotations

import sys
import termios
from typing import TYPE_CHECKING

from bottlemux.cli import console

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bottlemux.lifecycle.context import Context
    from bottlemux.session.layout_files import LayoutFile


def find(context: Context, name: str, directory: Path) -> LayoutFile:
    """Return the layout ``name``, and say so where that is not the one of the project ``directory``."""
    from bottlemux.session.layout_files import find_layout
    from bottlemux.text import printable

    file = find_layout(name, context.paths, directory)
    if file.notice:
        sys.stderr.write(f"{printable(file.notice)}\n")
    return file


def asking[T](prepare: Callable[[], T]) -> T | None:
    """Return what ``prepare`` does, which makes nothing.

    Where it meets a project's layout with commands of its own, the operator is shown them and asked, whatever was
    said beforehand; after a no it returns ``None``.
    """
    from bottlemux.session.layout_trust import OwnCommandsError

    try:
        return prepare()
    except OwnCommandsError as error:
        if not console.is_interactive():
            raise
        sys.stdout.write(f"{error.text}\n")
        # What was typed before they were shown is no answer.
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
        if not console.confirm(error.question):
            sys.stderr.write("nothing was done\n")
            return None
        error.agree()
        return prepare()
