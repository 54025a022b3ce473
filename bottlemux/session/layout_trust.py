"""Which layouts of projects may run commands of their own: those whose very text the operator has agreed to.

A project may come from anybody, and an agent may write in it. What its layouts name by role is bottlemux's own.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from bottlemux.errors import UsageError
from bottlemux.files import make_private_dir, write_atomic
from bottlemux.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bottlemux.session.layout import Layout, WindowLayout


_SCREEN_LINES, _SCREEN_LETTERS = 18, 1200
"""What is shown before a question has to be seen whole on the smallest usual terminal."""


class OwnCommandsError(UsageError):
    """A project's layout has commands of its own, and the operator has not agreed to its text.

    Who shows the whole ``text`` to the operator, and has a yes to ``question``, calls :meth:`agree` and tries again.
    """

    question = "Let this layout run them, as long as it stays as it is?"

    def __init__(self, path: Path, commands: list[str], agreement: Path) -> None:
        super().__init__(
            f"{path}: a layout of a project may not run commands of its own",
            hint="in a terminal, start, attach --layout and layout apply ask; or copy the file to your own layouts, "
            "once you have read it",
        )
        lines = [f"{path} is the project's own and brings commands, to run in its bottles:", *commands]
        self.text = "\n".join(map(printable, lines))
        self._path, self._agreement = path, agreement

    def agree(self) -> None:
        """Have the layout loaded from now on, until its text is another one."""
        make_private_dir(self._agreement.parent)
        write_atomic(self._agreement, os.fsencode(self._path))


def check_commands(layout: Layout, text: str, path: Path, agreements: Path) -> None:
    """Raise :class:`OwnCommandsError` if ``text``, read from ``path`` as ``layout``, needs a yes it does not have.

    ``agreements`` is the directory with a file for each yes.
    """
    commands = list(_own_commands(layout))
    agreement = agreements / _digest(path, text)
    if commands and not agreement.is_file():
        if len(commands) > _SCREEN_LINES or sum(map(len, map(printable, commands))) > _SCREEN_LETTERS:
            raise UsageError(
                f"{path}: a project's layout may not bring more commands than a screen can show before a yes",
                hint="copy the file to your own layouts, once you have read it",
            )
        raise OwnCommandsError(path, commands, agreement)


def _digest(path: Path, text: str) -> str:
    from hashlib import sha256

    return sha256(os.fsencode(path.resolve()) + b"\0" + text.encode()).hexdigest()


def _own_commands(layout: Layout) -> Iterator[str]:
    for number, window in enumerate(layout.windows, start=1):
        for what, command in _commands_of(window):
            yield f"  window {number}, {what}: {command}"


def _commands_of(window: WindowLayout) -> Iterator[tuple[str, str]]:
    if window.args:
        yield "arguments of its agent", shlex.join(window.args)
    for number, pane in enumerate(window.panes, start=1):
        for line in pane.shell_command:
            yield f"pane {number}", line
        if pane.argv:
            yield f"pane {number}, without a shell", shlex.join(pane.argv)
