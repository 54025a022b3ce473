"""One request to the porter: a container for its time, which sees what the bottle keeps, and changes nothing."""

from __future__ import annotations

import contextlib
import io
import json
import struct
from typing import TYPE_CHECKING

from backends.docker import names, returning
from backends.docker.link import FAR_END
from backends.docker.shipping import KEPT, porter_mounts
from bottlemux.errors import BottlemuxError

if TYPE_CHECKING:
    import socket
    from collections.abc import Buffer, Generator
    from pathlib import Path

    from backends.docker.engine import Engine

_PORTER = (FAR_END[0], "-m", "sidecars.porter")
_HEADER = struct.Struct("!BxxxI")
_STDOUT = 1
_TIMEOUT_S = 120.0
_MAX_COMPLAINT = 10_000
_PROCESSES = 16


def bring_back(engine: Engine, identity: str, owner: str, image: str, name: str, root: Path) -> None:
    """Bring ``root`` to the state of the directory ``name`` (``workspace``, ``home``) of the bottle."""
    with returning.updating(root):
        known = returning.versions(root)
        with _asked(engine, identity, owner, image, name) as (connection, stream):
            connection.sendall(json.dumps(known).encode() + b"\n")
            try:
                returning.receive(io.BufferedReader(stream, 1 << 18), root)
            except BottlemuxError as error:
                complaint = stream.complaint()
                raise BottlemuxError(f"{error.message}{f' ({complaint})' if complaint else ''}") from error


@contextlib.contextmanager
def _asked(
    engine: Engine, identity: str, owner: str, image: str, name: str
) -> Generator[tuple[socket.socket, _Output]]:
    api = engine.api
    with engine.translated("bring the bottle's files back"):
        host = api.create_host_config(
            mounts=list(porter_mounts(identity, writable=False)), network_mode="none", cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"], read_only=True, pids_limit=_PROCESSES,
            log_config={"type": "none"}, auto_remove=True,
        )  # fmt: skip
        container = api.create_container(
            image, [*_PORTER[1:], f"{KEPT}/{name}"], entrypoint=[_PORTER[0]], user="1000:1000", stdin_open=True,
            labels=names.labels(owner, identity, names.PORTER), host_config=host,
        )["Id"]  # fmt: skip
        try:
            with engine.attached(container, _TIMEOUT_S) as connection:
                api.start(container)
                yield connection, _Output(connection)
        finally:
            engine.remove_container(container)


class _Output(io.RawIOBase):
    """The standard output of an attached container; what comes on the other stream is kept as a complaint."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection
        self._left = 0
        self._complaint = bytearray()

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Read what is there; nothing at the end."""
        view = memoryview(buffer)
        while not self._left:
            header = self._exactly(_HEADER.size)
            if len(header) < _HEADER.size:
                return 0
            kind, length = _HEADER.unpack(header)
            if kind == _STDOUT:
                self._left = length
            else:
                self._complaint += self._exactly(length)[: _MAX_COMPLAINT - len(self._complaint)]
        count = self._connection.recv_into(view[: self._left])
        self._left -= count
        return count

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count and (part := self._connection.recv(count - len(found))):
            found += part
        return found

    def complaint(self) -> str:
        """Return the last line of the porter's errors."""
        lines = self._complaint.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""
