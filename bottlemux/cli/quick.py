"""``bottlemux exec SLUG -- CMD...`` in a fraction of the time: scripts call it again and again.

Only this form, with the whole name of a bottle of this machine that answers on its control socket. Anything else,
mistakes and errors included, is for the ordinary way, which then finds nothing done.
"""

from __future__ import annotations

import os

from bottlemux.directories import control_socket, find_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130
_PASSED_ON = ("TERM", "COLORTERM")


def run_exec(words: Sequence[str]) -> int | None:
    """Run the command that ``words`` ask for and return its exit code; ``None`` when nothing was done."""
    match words:
        case ["exec", slug, "--", *command] if command and _is_plain(slug):
            pass
        case _:
            return None
    from backends.bubblewrap import enter

    path = control_socket(find_runtime(os.environ), slug)
    environ = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    terminal = os.isatty(0) and os.isatty(1)
    try:
        connection = enter.connect(path)
    except enter.EnterError:
        return None
    try:
        return enter.run_on(connection, enter.Command(command, environ=environ, terminal=terminal))
    except enter.EnterError as error:
        return _failed(f"{slug}: {error}")
    except KeyboardInterrupt:
        return _INTERRUPTED


def _is_plain(slug: str) -> bool:
    return "/" not in slug and not slug.startswith((".", "-"))


def _failed(message: str) -> int:
    from bottlemux.cli.dispatch import report
    from bottlemux.errors import BottlemuxError

    return report(BottlemuxError(message))
