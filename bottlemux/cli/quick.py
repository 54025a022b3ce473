"""Two commands in a fraction of the time and memory: scripts repeat the one, a pane of each bottle runs the other.

Only ``exec SLUG -- CMD...`` and ``audit SLUG -f``, with the whole name of a bottle that is there. Anything else,
mistakes and errors included, is for the ordinary way, which then finds nothing done.
"""

from __future__ import annotations

import os

from bottlemux.directories import AUDIT_LOG, bottle_state, control_socket, find_runtime, find_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130


def run_exec(words: Sequence[str]) -> int | None:
    """Run the command that ``words`` ask for and return its exit code; ``None`` when nothing was done."""
    match words:
        case ["exec", slug, "--", *command] if command and _is_plain(slug):
            pass
        case _:
            return None
    from backends.bubblewrap import enter
    from backends.terminal import terminal_environ

    path = control_socket(find_runtime(os.environ), slug)
    environ = terminal_environ()
    terminal = os.isatty(0) and os.isatty(1)
    try:
        connection = enter.connect(path)
    except enter.EnterError:
        return None
    try:
        code = enter.run_on(connection, enter.Command(command, environ=environ, terminal=terminal))
        # Everything was written without a buffer: the interpreter's own end would be time for nothing.
        os._exit(code)
    except enter.EnterError as error:
        return _failed(f"{slug}: {error}")
    except KeyboardInterrupt:
        return _INTERRUPTED


def follow_audit(words: Sequence[str]) -> int | None:
    """Show the decisions about a bottle until interrupted; ``None`` when nothing was done."""
    match words:
        case ["audit", slug, "-f"] if _is_plain(slug):
            directory = bottle_state(find_state(os.environ), slug)
        case _:
            return None
    if not os.path.isdir(directory):  # noqa: PTH112
        return None
    from bottlemux.cli.audit import show

    try:
        show([f"{directory}/{AUDIT_LOG}"], forever=True)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        from bottlemux.cli.dispatch import reader_gone

        return reader_gone()
    return 0


def _is_plain(slug: str) -> bool:
    return "/" not in slug and not slug.startswith((".", "-"))


def _failed(message: str) -> int:
    from bottlemux.cli.dispatch import report
    from bottlemux.errors import BottlemuxError

    return report(BottlemuxError(message))
