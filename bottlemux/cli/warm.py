"""Running a command in a fork of the process that has everything imported already.

Half of a start is importing. Where a zygote runs, the process that was called only hands over its arguments,
environment, directory and standard streams (:mod:`bottlemux.cli.handover`), passes signals on, and takes the exit code.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys

from sidecars import ipc

TYPE_CHECKING = False  # every start waits for what is imported here
if TYPE_CHECKING:
    from collections.abc import Sequence

_NEEDED_BY_START = (
    "bottlemux.cli.dispatch",
    "bottlemux.cli.attach",
    "bottlemux.cli.start",
    "bottlemux.lifecycle.attaching",
    "bottlemux.lifecycle.running",
    "bottlemux.session.workspace",
)
_NEEDED_LATER = (
    "backends.registry:preload",
    "bottlemux.cli.list_",
    "prompt_toolkit.application",
    "bottlemux.palette.rehearsal:preload",
    "bottlemux.cli.palette",
    "bottlemux.palette.popup",
    "prompt_toolkit.input.vt100",
    "prompt_toolkit.output.vt100",
    "bottlemux.actions.keytable",
    "bottlemux.actions.moving",
    "bottlemux.cli.keys",
    "bottlemux.lifecycle.status",
    "bottlemux.approvals.showing",
    "bottlemux.actions.report",
    "bottlemux.palette.miniature",
    "bottlemux.palette.starting",
    "bottlemux.cli.status",
    "bottlemux.cli.approvals",
    "bottlemux.approvals.deciding",
)
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH)


def await_end(descriptor: int) -> int:
    """Pass signals on to the fork at the other end of ``descriptor``; return its exit code, or become what it says."""
    with socket.socket(fileno=descriptor) as connection:
        reply = _await_reply(connection)
    if reply is None:
        return _fail()
    become: list[str] = reply.get("become", [])
    if become:
        os.execvp(become[0], become)
    return int(reply["code"])


def _fail() -> int:
    from bottlemux.cli.dispatch import report
    from bottlemux.errors import BottlemuxError

    return report(
        BottlemuxError(
            "the process that ran this command went away", hint="bottlemux status says what is left"
        )
    )


def _await_reply(connection: socket.socket) -> ipc.Message | None:
    def forward(number: int, _frame: object) -> None:
        with contextlib.suppress(OSError):
            ipc.send(connection, {"signal": number})

    wanted = [number for number in _FORWARDED if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, forward) for number in wanted}
    try:
        return ipc.receive(connection)[0]
    except (OSError, EOFError, ValueError):
        return None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def preload() -> None:
    """Import what ``start`` needs, in the process that will be forked."""
    from importlib import import_module

    for name in _NEEDED_BY_START:
        import_module(name)
    import_module("bottlemux.session.layout_files").load_shipped()
    import_module("bottlemux.manifest.loader").load_examples()


def preload_later() -> Sequence[str]:
    """Name what the other commands need, to be imported once nothing is asked for."""
    return _NEEDED_LATER


def serve(connection: socket.socket, request: ipc.Message, descriptors: list[int]) -> None:
    """Be the command that the client asked for: the other end of ``hand_over``, in the fork."""
    import threading

    from bottlemux.cli import console, dispatch

    for target, source in enumerate(descriptors):
        os.dup2(source, target)
        os.close(source)
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(str(request["cwd"]))
    os.umask(request["umask"])
    _reopen_standard_streams()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_follow_client, args=(connection,), daemon=True).start()
    reply: dict[str, object] = {"code": 1}
    try:
        reply = {"code": dispatch.run_here(request["arguments"])}
    except console.Become as become:
        reply = {"become": become.argv}
    finally:
        for number in _FORWARDED:  # nothing is left to interrupt, and the client goes when it has its answer
            signal.signal(number, signal.SIG_IGN)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        with contextlib.suppress(OSError):
            ipc.send(connection, reply)


def _reopen_standard_streams() -> None:
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False, buffering=1 if os.isatty(1) else -1)
    sys.stderr = os.fdopen(2, "w", closefd=False, buffering=1)


def _follow_client(connection: socket.socket) -> None:
    """Raise in this process what is signalled to the client; its disappearance counts as a hang-up."""
    with contextlib.suppress(OSError, EOFError, ValueError):
        while (message := ipc.receive(connection)[0]) is not None:
            os.kill(os.getpid(), message["signal"])
    os.kill(os.getpid(), signal.SIGHUP)
