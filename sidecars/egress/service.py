"""One bottle's egress: accepts on sockets that are already bound, follows the policy file, until cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidecars.egress.connection import AgentConnection
    from sidecars.egress.runtime import Runtime
    from sidecars.egress.scan import ContentScanner
    from sidecars.egress.spec import EgressSpec

MAX_CONNECTIONS = 256
RELOAD_INTERVAL_S = 0.25

logger = logging.getLogger("bottlemux.egress")


def preload() -> None:
    """Import everything that serving needs, so that a fork of this process has it. Starts no thread or loop."""
    from sidecars.egress import connection, runtime, tls

    assert connection, (runtime, tls)  # noqa: S101 - imported for its effect


async def serve(
    spec: EgressSpec,
    listeners: Sequence[socket.socket],
    *,
    on_ready: Callable[[], None],
    scanner: ContentScanner | None = None,
) -> None:
    """Serve the bottle on ``listeners`` until cancelled, then close them and every connection.

    The listeners may belong to another network namespace or be Unix sockets. ``on_ready`` is called once
    connections are accepted. Raises ``OSError`` or ``ValueError`` if the routes or the authority are not usable.
    """
    runtime = _make_runtime(spec, scanner)
    if scanner is None and spec.scan_mode != "off":
        logger.warning("there is no content scanner: what is sent on allowed routes is not scanned")
    acceptor = _Acceptor(runtime)
    servers = [await _listen(listener, acceptor) for listener in listeners]
    on_ready()
    try:
        await _follow_policy(runtime, acceptor)
    finally:
        for server in servers:
            server.close()
        await acceptor.close()
        runtime.audit.close()


def _make_runtime(spec: EgressSpec, scanner: ContentScanner | None) -> Runtime:
    from sidecars.audit import AuditLog
    from sidecars.egress.runtime import LivePolicy, Runtime
    from sidecars.egress.tls import TlsAuthority
    from sidecars.secrets import SecretStore

    return Runtime(
        spec=spec,
        live=LivePolicy(spec.routes_file),
        secrets=SecretStore(spec.secrets),
        audit=AuditLog(spec.audit_file),
        tls=TlsAuthority(spec.ca_key_pem, spec.ca_cert_pem),
        scanner=scanner,
    )


class _Acceptor:
    """Starts an :class:`AgentConnection` for each client, up to a limit, and ends them all at the end."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._connections: dict[asyncio.Task[None], AgentConnection] = {}
        self._was_full = False

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from sidecars.egress.connection import AgentConnection

        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        if len(self._connections) >= MAX_CONNECTIONS:
            self._refuse(writer)
            return
        self._was_full = False
        _send_at_once(writer)
        connection = self._connections[task] = AgentConnection(reader, writer, self._runtime)
        try:
            await connection.serve()
        except asyncio.CancelledError:
            pass
        finally:
            del self._connections[task]
            writer.close()

    def _refuse(self, writer: asyncio.StreamWriter) -> None:
        if not self._was_full:
            self._was_full = True
            self._runtime.warn(
                "connections", f"more than {MAX_CONNECTIONS} connections at once, refusing more"
            )
        writer.transport.abort()

    def policy_changed(self) -> None:
        """Tell every connection."""
        for connection in list(self._connections.values()):
            connection.policy_changed()

    async def close(self) -> None:
        """Cancel every connection and wait for their ends."""
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _send_at_once(writer: asyncio.StreamWriter) -> None:
    accepted: socket.socket = writer.get_extra_info("socket")
    if accepted.family != socket.AF_UNIX:
        # asyncio does this only for listeners that it bound itself.
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def _listen(listener: socket.socket, acceptor: _Acceptor) -> asyncio.Server:
    listener.setblocking(False)
    if listener.family == socket.AF_UNIX:
        return await asyncio.start_unix_server(acceptor, sock=listener)
    return await asyncio.start_server(acceptor, sock=listener)


async def _follow_policy(runtime: Runtime, acceptor: _Acceptor) -> None:
    while True:
        await asyncio.sleep(RELOAD_INTERVAL_S)
        problem = runtime.live.refresh()
        if problem:
            with contextlib.suppress(Exception):
                runtime.warn("routes-file", problem)
        elif problem == "":
            acceptor.policy_changed()
            logger.info("new routes are in force")
