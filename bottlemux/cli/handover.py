"""Giving a command, with this process's terminal, to a fork of the process that has everything imported already.

It stands between a key and the first frame: nothing is imported that could come later. So the two modules beneath
``socket`` and ``json`` are used as they are.
"""

from __future__ import annotations

import _socket
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

ENTRY = "bottlemux.cli.warm:serve"
_MAX_ADDRESS = 100
_CREDENTIALS_BYTES = 12
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in ['"', "\\", *map(chr, range(32))]}


def hand_over(arguments: Sequence[str]) -> int | None:
    """Have a fork of the running zygote run the command; return its exit code. ``None``: nothing was done."""
    from bottlemux.directories import find_runtime
    from bottlemux.preload import PRELOADED
    from sidecars.zygote_names import socket_path

    try:
        directory = os.getcwd()  # noqa: PTH109
        connection = _connect(socket_path(find_runtime(os.environ), PRELOADED))
    except OSError:
        return None
    request = (
        f'{{"entry": "{ENTRY}", "umask": {_umask()}, "cwd": {_quoted(directory)}, '
        f'"arguments": [{", ".join(map(_quoted, arguments))}], '
        f'"environ": {{{", ".join(f"{_quoted(name)}: {_quoted(value)}" for name, value in os.environ.items())}}}}}'
    ).encode()
    try:
        _send(connection, request)
    except OSError:
        return None  # it ended, idle for long, between our connection and our request
    from bottlemux.cli.warm import await_end

    return await_end(connection.detach())


def _connect(path: str) -> _socket.socket:
    """Connect to a process of this user: it is told everything, secrets included. Raises ``OSError``."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    if len(os.fsencode(path)) > _MAX_ADDRESS:
        parent, _, name = path.rpartition("/")
        path = f"/proc/self/fd/{os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)}/{name}"
    connection.connect(path)
    credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _CREDENTIALS_BYTES)
    if int.from_bytes(credentials[4:8], sys.byteorder) != os.getuid():
        raise PermissionError(path)
    return connection


def _send(connection: _socket.socket, request: bytes) -> None:
    """Send a message as ``sidecars.ipc`` frames it, with the standard streams beside its first byte."""
    streams = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
    message = len(request).to_bytes(4, "big") + request
    sent = connection.sendmsg([message], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
    # Sending nothing would fail where a quick command has ended already, and it would be run a second time.
    if rest := message[sent:]:
        connection.sendall(rest)


def _quoted(text: str) -> str:
    """Return ``text`` in JSON; what is no UTF-8 in it as the escape that :mod:`json` writes."""
    escaped = text.translate(_ESCAPES)
    return '"' + escaped.encode("utf-8", "backslashreplace").decode() + '"'


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def main() -> None:
    """Be a program, run without ``site``: the command in its arguments, the quick way or else the ordinary one."""
    code = hand_over(sys.argv[1:])
    if code is None:
        os.execv(sys.executable, [sys.executable, "-I", "-m", "bottlemux", *sys.argv[1:]])
    sys.stdout.flush()
    os._exit(code)
