"""Connections to an engine elsewhere, each made by the engine's own client.

``docker system dial-stdio`` knows what the context says of ssh and TLS, and ssh what the user's settings and agent say
of hosts and keys; so nothing of that is done again here, and panes and this library reach an engine the same way.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

from docker import APIClient
from docker.transport import UnixHTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from backends.docker.endpoint import client_argv, client_environ

if TYPE_CHECKING:
    from typing import IO

_END_TIMEOUT_S = 2.0
_MOST_CONNECTIONS = 4


class _Connection(HTTPConnection):
    def __init__(self, endpoint: str, complaints: IO[bytes], timeout: int) -> None:
        super().__init__("localhost", timeout=timeout)
        self._endpoint, self._complaints, self._limit = endpoint, complaints, timeout
        self._client: subprocess.Popen[bytes] | None = None

    def connect(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # A session of its own: without our terminal, ssh fails where it would ask.
            self._client = subprocess.Popen(
                client_argv(self._endpoint, "system", "dial-stdio"), stdin=theirs.fileno(), stdout=theirs.fileno(),
                stderr=self._complaints, env=client_environ(), start_new_session=True,
            )  # fmt: skip
        ours.settimeout(self._limit)
        self.sock = ours

    def close(self) -> None:
        super().close()
        client, self._client = self._client, None
        if client is None:
            return
        try:
            client.wait(_END_TIMEOUT_S)  # its input has ended; killed at once, it would leave its ssh no time
        except subprocess.TimeoutExpired:
            client.kill()
            client.wait()


class _Pool(HTTPConnectionPool):
    def __init__(self, endpoint: str, complaints: IO[bytes], timeout: int) -> None:
        super().__init__("localhost", timeout=timeout, maxsize=_MOST_CONNECTIONS)
        self._endpoint, self._complaints, self._limit = endpoint, complaints, timeout

    def _new_conn(self) -> Any:
        return _Connection(self._endpoint, self._complaints, self._limit)


class Dialled(UnixHTTPAdapter):
    """Sends the library's requests over connections of the engine's client."""

    def __init__(self, endpoint: str, timeout: int) -> None:
        self._endpoint, self._limit = endpoint, timeout
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the connections
        self._pool: _Pool | None = None
        super().__init__("http+unix:///", timeout=timeout)

    def get_connection(self, url: Any, proxies: Any = None) -> Any:  # noqa: ARG002 - the library's own names
        """Return the pool of connections; there is one."""
        with self.pools.lock:  # pyright: ignore[reportUnknownMemberType]
            self._pool = self._pool or _Pool(self._endpoint, self._complaints, self._limit)
        return self._pool

    def close(self) -> None:
        """End every connection."""
        if self._pool is not None:
            self._pool.close()
        super().close()

    def complaints(self) -> str:
        """Return what the clients, and their ssh, complained of."""
        self._complaints.seek(0)
        return self._complaints.read().decode(errors="replace")


def dial(endpoint: str, timeout: int) -> tuple[Any, Dialled]:
    """Return the library's client for an engine elsewhere, not connected yet, and what carries its requests."""
    adapter = Dialled(endpoint, timeout)
    api: Any = APIClient(base_url="unix:///nowhere", version="1.40", timeout=timeout)
    api._custom_adapter = adapter
    api.mount("http+docker://", adapter)
    return api, adapter
