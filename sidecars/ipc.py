"""Messages with file descriptors over Unix sockets: a length, a JSON object, descriptors beside the first byte."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from typing import TYPE_CHECKING

from sidecars.wire import receive_exactly

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from typing import Any

    type Message = dict[str, Any]

_MAX_DESCRIPTORS = 16
_LENGTH = struct.Struct("!I")
_CREDENTIALS = struct.Struct("3i")


def send(connection: socket.socket, message: dict[str, object], descriptors: Sequence[int] = ()) -> None:
    """Send ``message`` and duplicates of ``descriptors``; the caller keeps its own copies."""
    payload = json.dumps(message).encode()
    header = _LENGTH.pack(len(payload))
    if descriptors:
        socket.send_fds(connection, [header], list(descriptors))
    else:
        connection.sendall(header)
    connection.sendall(payload)


def receive(connection: socket.socket) -> tuple[Message | None, list[int]]:
    """Return the next message and its descriptors, which the caller now owns; ``None`` at the end.

    Raises ``ValueError`` on anything that is not a message; descriptors that came with it are closed.
    """
    header, descriptors, _flags, _address = socket.recv_fds(connection, _LENGTH.size, _MAX_DESCRIPTORS)
    try:
        if not header:
            return None, descriptors
        header += receive_exactly(connection, _LENGTH.size - len(header))
        (length,) = _LENGTH.unpack(header)
        message = _object(receive_exactly(connection, length))
    except (ValueError, OSError, EOFError):
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return message, descriptors


def _object(payload: bytes) -> Message:
    try:
        message: Message = json.loads(payload)
    except RecursionError as error:
        raise ValueError("message is nested too deeply") from error
    if type(message) is not dict:
        raise ValueError("message is not a JSON object")
    return message


@contextlib.contextmanager
def _short_address(path: str) -> Generator[str]:
    """Yield a name for ``path`` that fits into a socket address, which holds 107 bytes."""
    if len(os.fsencode(path)) <= 100:
        yield path
        return
    parent, _, name = path.rpartition("/")
    directory = os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{name}"
    finally:
        os.close(directory)


def connect(path: str, *, timeout: float | None = None) -> socket.socket:
    """Return a connection to the socket at ``path``, however long its name is. Raises ``OSError``."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        with _short_address(path) as address:
            connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def peer_user(connection: socket.socket) -> int:
    """Return the user id of the process that connected, or that made the socket which was connected to."""
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _pid, user, _group = _CREDENTIALS.unpack(packed)
    return int(user)


def listen(path: str) -> socket.socket:
    """Return a socket listening at ``path`` (0600), replacing what a dead process left there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short_address(path) as address:
            listener.bind(address)
        os.chmod(path, 0o600)  # noqa: PTH101
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
