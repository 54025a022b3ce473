"""Finding a user's zygote, and starting it when none runs. See :mod:`sidecars.zygote` for what it is."""

from __future__ import annotations

import errno
import fcntl
import os
import sys

from sidecars import ipc
from sidecars.zygote_names import socket_path

TYPE_CHECKING = False  # every start waits for what is imported here
if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from pathlib import Path

LISTENER_FD = 3


def log_file(runtime: Path) -> Path:
    """Return where a zygote writes why it, or a child of it that has no log of its own yet, ends."""
    return runtime / "zygote.log"


def connect(runtime: Path, modules: Sequence[str]) -> socket.socket:
    """Return a connection to this user's zygote, starting it when none runs. Raises ``OSError``.

    ``runtime`` is a private directory of the user's, ``modules`` are what a new zygote imports beforehand. The
    connection is usable at once: a zygote that is still importing takes it when it is ready. Its first message
    names in ``entry``, as ``module:function``, what the child calls with connection, message and descriptors.
    """
    path = socket_path(runtime, modules)
    with open(runtime / "zygote.lock", "w", opener=_open_private) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return _connect(path)
        except OSError:
            with ipc.listen(path) as listener:
                _start(listener, modules, log_file(runtime))
        return _connect(path)


def _connect(path: str) -> socket.socket:
    """Connect to a process of this user: it is told everything, secrets included."""
    connection = ipc.connect(path)
    if ipc.peer_user(connection) != os.getuid():
        connection.close()
        raise PermissionError(errno.EPERM, "belongs to another user", path)
    return connection


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _start(listener: socket.socket, modules: Sequence[str], log: Path) -> None:
    import subprocess

    environ = {name: os.environ[name] for name in ("HOME", "PATH", "LANG", "TZ") if name in os.environ}
    # The listener is handed over open, so that connections queue from the first moment.
    with open(log, "ab", opener=_open_private) as output:
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
