"""Finding a user's zygote, and starting it when none runs. See :mod:`sidecars.zygote` for what it is."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import sys
from importlib import import_module

from sidecars import ipc

TYPE_CHECKING = False  # every start waits for what is imported here
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LISTENER_FD = 3
served: list[str] = []
"""The socket of the zygote that this process is, or is a fork of; written by the zygote."""


def build_id(modules: Sequence[str]) -> str:
    """Return a name for the code of ``modules`` as installed now: a zygote of other code is not used."""
    lines = [sys.executable]
    for package in {name.partition(".")[0] for name in modules}:
        for directory in import_module(package).__path__:
            lines += _sources(directory)
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:12]


def _sources(directory: str) -> Iterator[str]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                status = entry.stat()
                yield f"{entry.path}:{status.st_mtime_ns}:{status.st_size}"
            elif entry.name != "__pycache__" and entry.is_dir():
                yield from _sources(entry.path)


def serves(runtime: Path | str) -> bool:
    """Say whether this process is a fork of the zygote whose socket is in ``runtime``."""
    return bool(served) and os.path.dirname(served[0]) == str(runtime)  # noqa: PTH120


def running(runtime: Path | str, modules: Sequence[str]) -> socket.socket | None:
    """Return a connection to this user's zygote if one runs; see :func:`connect`."""
    try:
        return _connect(_socket_path(runtime, modules))
    except OSError:
        return None


def _connect(path: str) -> socket.socket:
    """Connect to a process of this user: it is told everything, secrets included."""
    connection = ipc.connect(path)
    if ipc.peer_user(connection) != os.getuid():
        connection.close()
        raise PermissionError(errno.EPERM, "belongs to another user", path)
    return connection


def _socket_path(runtime: Path | str, modules: Sequence[str]) -> str:
    # Code that changed meanwhile is no reason to look for another zygote: a fork has its parent's.
    return served[0] if serves(runtime) else f"{runtime}/zygote-{build_id(modules)}.sock"


def connect(runtime: Path, modules: Sequence[str]) -> socket.socket:
    """Return a connection to this user's zygote, starting it when none runs. Raises ``OSError``.

    ``runtime`` is a private directory of the user's, ``modules`` are what a new zygote imports beforehand. The
    connection is usable at once: a zygote that is still importing takes it when it is ready. Its first message
    names in ``entry``, as ``module:function``, what the child calls with connection, message and descriptors.
    """
    path = _socket_path(runtime, modules)
    with open(runtime / "zygote.lock", "w", opener=_open_private) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return _connect(path)
        except OSError:
            with ipc.listen(path) as listener:
                _start(listener, modules, runtime / "zygote.log")
        return _connect(path)


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
