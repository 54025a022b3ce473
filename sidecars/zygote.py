"""The process that sidecars are forked from.

Importing the proxy takes half a second and 60 MiB. One process per user does that once; each bottle's supervisor is a
fork of it, so it starts in milliseconds and shares the memory, yet is a process of its own. The zygote itself never
holds a secret, a policy or anything else of a bottle: what a connection says is read only after the fork.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING

from sidecars import ipc, zygote_names, zygotes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

IDLE_EXIT_S = 900.0
QUIET_S = 1.0
"""How long nothing has to be asked for before one more of the modules that can wait is loaded."""


class Zygote:
    """Forks one child for each connection; the child runs what the connection's first message names."""

    def __init__(self, listener: socket.socket, later: Sequence[str] = ()) -> None:
        self._listener = listener
        self._children = 0
        self._later = list(later)

    def run(self) -> None:
        """Serve until nothing was asked for and no child is left for ``IDLE_EXIT_S``."""
        read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, ignore)
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(read_end, selectors.EVENT_READ)
            while True:
                ready = selector.select(QUIET_S if self._later else IDLE_EXIT_S)
                self._reap()
                if not ready and self._later:
                    self._load_next()
                elif not ready and self._children == 0:
                    return
                for key, _events in ready:
                    if key.fileobj is self._listener:
                        self._fork([read_end, write_end, selector.fileno()])
                    else:
                        _drain(read_end)

    def _load_next(self) -> None:
        """Load one module; none takes so long that a start in this moment would be felt to wait."""
        module, _, function = self._later.pop(0).partition(":")
        # Who needs it will say what is wrong with it; starts must not suffer from that.
        with contextlib.suppress(Exception):
            loaded = import_module(module)
            if function:
                getattr(loaded, function)()
        if not self._later:
            _keep_for_good()

    def _fork(self, own: list[int]) -> None:
        connection, _address = self._listener.accept()
        with connection:
            if ipc.peer_user(connection) != os.getuid():
                return
            if os.fork() != 0:
                self._children += 1
                return
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._listener.close()
            for descriptor in own:
                os.close(descriptor)
            _run_child(connection)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                self._children -= 1


def _run_child(connection: socket.socket) -> None:
    code = 1
    try:
        os.setsid()
        message, descriptors = ipc.receive(connection)
        if message is not None:
            module, _, function = str(message["entry"]).partition(":")
            getattr(import_module(module), function)(connection, message, descriptors)
        code = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stderr.flush()
        os._exit(code)


def ignore(_number: int, _frame: object) -> None:
    """Handle a signal whose only purpose is to end a wait."""


def _drain(descriptor: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(descriptor, 4096):
            pass


def main(modules: Sequence[str]) -> None:
    """Import ``modules``, each of which has ``preload``, and serve the listener that came as descriptor 3.

    One may also have ``preload_later``, which names what is to be imported once nothing is asked for: a module, or
    ``module:function`` to have that called as well.
    """
    listener = socket.socket(fileno=zygotes.LISTENER_FD)
    listener.set_inheritable(False)
    _shed_what_is_the_callers()
    zygote_names.served.append(os.fsdecode(listener.getsockname()))
    loaded = [import_module(name) for name in modules]
    for module in loaded:
        module.preload()
    _keep_for_good()
    Zygote(listener, _later(loaded)).run()


def _shed_what_is_the_callers() -> None:
    """Take the usual signals and file mode: of whoever happened to need a zygote first, every bottle would get them."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o022)


def _later(modules: Sequence[ModuleType]) -> list[str]:
    """Return what ``modules`` name in ``preload_later``, where they have it."""
    functions: list[Callable[[], Sequence[str]]] = [
        module.preload_later for module in modules if hasattr(module, "preload_later")
    ]
    return [name for function in functions for name in function()]


def _keep_for_good() -> None:
    """Keep the collector from touching, and so copying, in the children the pages of what is alive now."""
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    main(sys.argv[1:])
