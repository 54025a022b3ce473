"""Messages between the host and process 1 of a bottle: a length, then fields parted by NUL, descriptors beside it.

What travels are arguments, variables and paths, which cannot hold a NUL. Both ends have to start fast: a pane, an
``exec`` and the bottle wait for them. ``socket`` and ``json`` with what they import take as long as all the rest of
such a process, hence the built-in module below ``socket`` and a format of its own.
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    type Fields = list[bytes]
else:
    import _socket as socket

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_MAX_DESCRIPTORS = 16
_LENGTH = struct.Struct("!I")
_MAX_NAME_BYTES = 100


def send(connection: socket.socket, fields: Sequence[bytes], descriptors: Sequence[int] = ()) -> None:
    """Send ``fields``, at least one, and duplicates of ``descriptors``; the caller keeps its own copies."""
    payload = b"\0".join(fields)
    if payload.count(b"\0") != len(fields) - 1:
        raise ValueError("a field with a NUL in it")
    header = _LENGTH.pack(len(payload))
    if descriptors:
        rights = struct.pack(f"{len(descriptors)}i", *descriptors)
        connection.sendmsg([header], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    else:
        connection.sendall(header)
    connection.sendall(payload)


def receive(connection: socket.socket) -> tuple[Fields | None, list[int]]:
    """Return the next message and its descriptors, which the caller now owns; ``None`` at the end.

    Raises ``ValueError`` or ``EOFError`` on anything that is not a message; descriptors that came with it are closed.
    """
    room = socket.CMSG_SPACE(_MAX_DESCRIPTORS * struct.calcsize("i"))
    header, rights, flags, _address = connection.recvmsg(_LENGTH.size, room, socket.MSG_CMSG_CLOEXEC)
    descriptors = _descriptors(rights)
    try:
        return _fields(connection, header, flags), descriptors
    except (ValueError, OSError, EOFError):
        for descriptor in descriptors:
            os.close(descriptor)
        raise


def _fields(connection: socket.socket, header: bytes, flags: int) -> Fields | None:
    if flags & socket.MSG_CTRUNC:
        raise ValueError("more descriptors than there can be")
    if not header:
        return None
    header += receive_exactly(connection, _LENGTH.size - len(header))
    (length,) = _LENGTH.unpack(header)
    return receive_exactly(connection, length).split(b"\0")


def _descriptors(rights: Sequence[tuple[int, int, bytes]]) -> list[int]:
    found: list[int] = []
    for level, kind, data in rights:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            count = len(data) // struct.calcsize("i")
            found += struct.unpack_from(f"{count}i", data)
    return found


def receive_exactly(connection: socket.socket, count: int) -> bytes:
    """Return the next ``count`` bytes. Raises ``ValueError`` for too many, ``EOFError`` where they do not come."""
    if count > MAX_MESSAGE_BYTES:
        raise ValueError(f"message of {count} bytes is over the limit")
    parts: list[bytes] = []
    while count:
        part = connection.recv(count)
        if not part:
            raise EOFError("the peer closed the connection in the middle of a message")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def accept(listener: socket.socket) -> socket.socket:
    """Return the next connection; not inherited by programs."""
    descriptor = int(listener._accept()[0])  # type: ignore[attr-defined]  # pyright: ignore
    return socket.socket(fileno=descriptor)


def connect(path: str) -> socket.socket:
    """Return a connection to the socket at ``path``, however long its name is. Raises ``OSError``."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if len(os.fsencode(path)) <= _MAX_NAME_BYTES:
            connection.connect(path)
        else:
            _connect_below(connection, path)
    except OSError:
        connection.close()
        raise
    return connection


def _connect_below(connection: socket.socket, path: str) -> None:
    parent, _, name = path.rpartition("/")
    directory = os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{name}")
    finally:
        os.close(directory)
