"""The gate as a service: one request a connection, on sockets it is given, until it is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from http import HTTPStatus
from typing import TYPE_CHECKING

from sidecars.git_gate.endpoints import Endpoints
from sidecars.git_gate.hooks import install_hook
from sidecars.git_gate.response import ClientGoneError, Response
from sidecars.git_gate.wire import HEAD_LIMIT, BadRequest, read_request

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from sidecars.git_gate.spec import GitGateSpec, Limits

_log = logging.getLogger(__name__)
_PLAIN = "text/plain; charset=utf-8"
_LINGER_BYTES = 1024 * 1024
_LINGER_S = 1.0


async def serve(
    spec: GitGateSpec, listeners: Sequence[socket.socket], *, on_ready: Callable[[], None]
) -> None:
    """Serve ``spec`` on bound, listening TCP or Unix sockets until SIGTERM or cancelled; no process is left then.

    ``on_ready`` is called once requests are taken. Raises ``OSError`` when the private directory cannot be
    used. The sockets stay the caller's to close.
    """
    from sidecars.git_gate.engines import make_scanner

    spec.cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    spec.cache_dir.chmod(0o700)
    hooks = spec.cache_dir / "hooks"
    install_hook(hooks)
    endpoints = Endpoints(spec, hooks, make_scanner(spec))
    for repository in endpoints.repositories.values():
        await repository.mirror.prepare()
    front = Front(endpoints, spec.limits)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(front.close)
        for listener in listeners:
            server = await asyncio.start_server(front.connected, sock=listener, limit=HEAD_LIMIT)
            stack.callback(server.close)
        on_ready()
        await _told_to_stop()


async def _told_to_stop() -> None:
    stop = asyncio.Event()
    # Signals reach the main thread only; elsewhere the caller cancels.
    with contextlib.suppress(RuntimeError, ValueError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


class Front:
    """Takes connections; what goes wrong on one of them stays on that one."""

    def __init__(self, endpoints: Endpoints, limits: Limits) -> None:
        self._endpoints = endpoints
        self._limits = limits
        self._tasks: set[asyncio.Task[None]] = set()

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Start to handle a connection."""
        task = asyncio.get_running_loop().create_task(self._handle(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        response = Response(writer, stalled_s=self._limits.stalled_s)
        try:
            await self._answer(reader, response)
            await _linger(reader, writer)
        except (ClientGoneError, OSError, asyncio.IncompleteReadError):
            _log.info("a connection ended early")
        except Exception:  # noqa: BLE001 - one request must not end the service
            # The client sees a broken answer, which git never takes for a success.
            _log.exception("a request failed")
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, response: Response) -> None:
        if len(self._tasks) > self._limits.connections:
            await response.whole(HTTPStatus.SERVICE_UNAVAILABLE, _PLAIN, b"too many connections\n")
            return
        try:
            async with asyncio.timeout(self._limits.request_s):
                request = await read_request(reader)
        except TimeoutError:
            await response.whole(HTTPStatus.REQUEST_TIMEOUT, _PLAIN, b"no request came\n")
            return
        except BadRequest as bad:
            await response.whole(bad.status, _PLAIN, f"{bad.text}\n".encode())
            return
        try:
            await self._endpoints.answer(request, reader, response)
        except BadRequest as bad:
            if response.started:
                raise ClientGoneError from bad
            await response.whole(bad.status, _PLAIN, f"{bad.text}\n".encode())


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read what the client still sends, for a moment: closing with unread data would destroy the answer."""
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(_LINGER_S):
            if writer.can_write_eof():
                writer.write_eof()
            left = _LINGER_BYTES
            while left > 0 and (data := await reader.read(left)):
                left -= len(data)


def preload() -> None:
    """Import and compile what a push needs, so that processes forked from this one share it."""
    from sidecars.git_gate.engines import preload_engine

    preload_engine()
