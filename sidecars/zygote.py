"""The process that sidecars are forked from.

Importing the proxy takes half a second and 60 MiB. One process per user does that once; each bottle's supervisor is a
fork of it, so it starts in milliseconds and shares the memory, yet is a process of its own. The zygote itself never
holds a secret, a policy or anything else of a bottle: what a connection says is read only after the fork.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import hashlib
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import traceback
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sidecars import ipc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import ModuleType

LISTENER_FD = 3
IDLE_EXIT_S = 900.0
QUIET_S = 1.0
"""How long nothing has to be asked for before one more of the modules that can wait is loaded."""


def build_id(modules: Sequence[str]) -> str:
    """Return a name for the code of ``modules`` as installed now: a zygote of other code is not used."""
    digest = hashlib.sha256(sys.executable.encode())
    for package in sorted({name.partition(".")[0] for name in modules}):
        found = find_spec(package)
        for directory in (found and found.submodule_search_locations) or ():
            for path, _names, files in os.walk(directory):
                for name in sorted(files):
                    if name.endswith(".py"):
                        status = os.stat(f"{path}/{name}")  # noqa: PTH116 - some hundred of them
                        digest.update(f"{path}/{name}:{status.st_mtime_ns}:{status.st_size}\n".encode())
    return digest.hexdigest()[:12]


def running(runtime: Path, modules: Sequence[str]) -> socket.socket | None:
    """Return a connection to this user's zygote if one runs; see :func:`connect`."""
    try:
        return ipc.connect(_socket_path(runtime, modules))
    except OSError:
        return None


def _socket_path(runtime: Path, modules: Sequence[str]) -> str:
    return str(runtime / f"zygote-{build_id(modules)}.sock")


def connect(runtime: Path, modules: Sequence[str]) -> socket.socket:
    """Return a connection to this user's zygote, starting it when none runs. Raises ``OSError``.

    ``runtime`` is a private directory of the user's, ``modules`` are what a new zygote imports beforehand. The
    connection is usable at once: a zygote that is still importing takes it when it is ready. Its first message
    names in ``entry``, as ``module:function``, what the child calls with connection, message and descriptors.
    """
    path = _socket_path(runtime, modules)
    with (runtime / "zygote.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return ipc.connect(path)
        except OSError:
            with ipc.listen(path) as listener:
                _start(listener, modules, runtime / "zygote.log")
        return ipc.connect(path)


def _start(listener: socket.socket, modules: Sequence[str], log: Path) -> None:
    environ = {name: os.environ[name] for name in ("HOME", "PATH", "LANG", "TZ") if name in os.environ}
    # The listener is handed over open, so that connections queue from the first moment.
    with log.open("ab") as output:
        subprocess.Popen(
            ["/bin/sh", "-c", 'exec "$@" 3<&0 0</dev/null', "sh", *_command(modules)],
            stdin=listener.fileno(),
            stdout=output,
            stderr=output,
            cwd="/",
            env=environ,
            start_new_session=True,
        )


def _command(modules: Sequence[str]) -> list[str]:
    return [sys.executable, "-I", "-m", "sidecars.zygote", *modules]


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
        import_module(self._later.pop(0))
        if not self._later:
            _keep_for_good()

    def _fork(self, own: list[int]) -> None:
        connection, _address = self._listener.accept()
        with connection:
            if not _is_same_user(connection):
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


def _is_same_user(connection: socket.socket) -> bool:
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, user, _group = struct.unpack("3i", packed)
    return bool(user == os.getuid())


def main(modules: Sequence[str]) -> None:
    """Import ``modules``, each of which has ``preload``, and serve the listener that came as descriptor 3.

    One may also have ``preload_later``, which names what is to be imported once nothing is asked for.
    """
    listener = socket.socket(fileno=LISTENER_FD)
    listener.set_inheritable(False)
    loaded = [import_module(name) for name in modules]
    for module in loaded:
        module.preload()
    _keep_for_good()
    Zygote(listener, _later(loaded)).run()


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
