"""One connection of the agent, driven by mitmproxy's sans-io layers, with egress's own hooks and input and output."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Literal, cast

from mitmproxy.connection import Client, ConnectionState
from mitmproxy.proxy import commands, events, server_hooks
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.server import ConnectionHandler, ConnectionIO

from sidecars.egress import responses, upstream
from sidecars.egress.answers import Failure, Refusal
from sidecars.egress.hooks import Hooks
from sidecars.egress.layers import Front
from sidecars.egress.session import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import TracebackType

    from mitmproxy.connection import Connection, Server
    from mitmproxy.options import Options

    from sidecars.egress.runtime import Runtime

logger = logging.getLogger("bottlemux.egress")

FIRST_HEAD_TIMEOUT_S = 30.0
UPSTREAM_TLS_TIMEOUT_S = 15.0
LINGER_S = 1.0
IDLE_TIMEOUT_S = 900
_READ_SIZE = 65536


class LayerOptions:
    """What mitmproxy's layers ask their options for; nothing here depends on the bottle."""

    tcp_timeout = IDLE_TIMEOUT_S
    validate_inbound_headers = True
    stream_large_bodies = None
    body_size_limit = None
    store_streamed_bodies = False
    connection_strategy = "lazy"
    keep_host_header = True
    websocket = True
    rawtcp = False
    http2 = False
    proxy_debug = False


_OPTIONS = cast("Options", LayerOptions())


class AgentConnection(ConnectionHandler):
    """Serves one connection. Hooks that need no waiting run at once instead of in tasks of their own."""

    wakeup_timer: set[asyncio.Task[None]]

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, runtime: Runtime) -> None:
        # The agent may come over a Unix socket, which has no address: a stand-in serves.
        client = Client(
            peername=("bottle", 0),
            sockname=("egress", 0),
            timestamp_start=time.time(),
            state=ConnectionState.OPEN,
        )
        context = Context(client, _OPTIONS)
        super().__init__(context)
        self.session = Session(runtime)
        self.layer = Front(context, self)
        self.transports[client] = ConnectionIO(handler=None, reader=reader, writer=writer)
        self._runtime = runtime
        self._unsent: dict[Connection, list[bytes]] = {}
        self._client_may_send = asyncio.Event()
        self._client_may_send.set()
        loop = asyncio.get_running_loop()
        self._head_timer: asyncio.TimerHandle | None = loop.call_later(FIRST_HEAD_TIMEOUT_S, self.abort)
        self._close_timer: asyncio.TimerHandle | None = None
        self._hooks = Hooks(self.session, self)

    # -- for the layers ----------------------------------------------------------------------------------------

    def head_complete(self) -> None:
        """Stop the clock that runs until the first request's head."""
        self._stop(self._head_timer)

    def linger(self) -> None:
        """Let the last answer arrive, then close."""
        if self._close_timer is None:
            self._close_timer = asyncio.get_running_loop().call_later(LINGER_S, self.abort)

    def abort(self) -> None:
        """Close every transport of the connection now."""
        self._cancel(self.client)

    def _cancel(self, connection: Connection) -> None:
        """End the task that serves one side; that closes its transport."""
        io = self.transports.get(connection)
        task = cast("asyncio.Task[None] | None", cast("Any", io).handler) if io is not None else None
        if task is not None:
            task.cancel()

    def close_upstreams(self) -> None:
        """Close the connections to servers, so that the next request makes a new one."""
        for connection in list(self.transports):
            if connection is not self.client:
                self.close_connection(connection)

    def let_agent_send(self) -> None:
        """Read from the agent again."""
        self._client_may_send.set()

    def policy_changed(self) -> None:
        """End a transfer that is under way to a host that has no route any more."""
        exchange = self.session.exchange
        if exchange is None or exchange.recorded:
            return
        routes = self._runtime.policy.candidates(exchange.host)
        if not any(route.port == exchange.port for route in routes):
            exchange.problem = Refusal("host-not-allowed", "the route was taken away", "routes-changed")
            self.abort()

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()

    # -- input and output --------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Serve until either side ends it; the audit has every exchange when this returns."""
        try:
            await self.handle_client()
        finally:
            self._stop(self._head_timer)
            self._stop(self._close_timer)
            for connection in list(self.transports):
                self._cancel(connection)
            self.session.finish()

    def log(
        self,
        message: str,
        level: int = logging.INFO,
        exc_info: Literal[True]
        | tuple[type[BaseException], BaseException, TracebackType | None]
        | None = None,
    ) -> None:
        """Drop mitmproxy's own messages: they quote what peers sent. Only the kind of a failure is kept."""
        del message
        if level >= logging.ERROR:
            kind = type(exc_info[1]).__name__ if isinstance(exc_info, tuple) else "failure"
            logger.warning("a connection failed inside the proxy: %s", kind)

    async def server_event(self, event: events.Event) -> None:
        """Feed one event to the layers and carry out what they ask for."""
        self.timeout_watchdog.register_activity()  # type: ignore[no-untyped-call]
        pending = deque([event])
        try:
            while pending:
                for command in self.layer.handle_event(pending.popleft()):
                    done = self._execute(command)
                    if done is not None:
                        pending.append(done)
            self._flush()
        except responses.DecodeError:
            self.abort()
        except Exception as error:  # noqa: BLE001 - a crash must not leave a connection open
            logger.warning("a connection is closed after %s in the proxy", type(error).__name__)
            self._runtime.record_crash(self.session)
            self.abort()

    def _execute(self, command: commands.Command) -> events.Event | None:
        if isinstance(command, commands.StartHook):
            return self._run_hook(command)
        if isinstance(command, commands.OpenConnection):
            self._client_may_send.clear()
            task = asyncio.create_task(self.open_connection(command))
            self.transports[command.connection] = ConnectionIO(handler=task)
        elif isinstance(command, commands.ConnectionCommand):
            self._execute_on_connection(command)
        elif isinstance(command, commands.RequestWakeup):
            self.wakeup_timer.add(asyncio.create_task(self.wakeup(command)))
        elif isinstance(command, commands.Log):
            self.log(command.message, command.level)
        else:
            raise TypeError("an unknown command")
        return None

    def _execute_on_connection(self, command: commands.ConnectionCommand) -> None:
        io = self.transports.get(command.connection)
        if io is None:
            return
        if isinstance(command, commands.SendData):
            self._unsent.setdefault(command.connection, []).append(command.data)
            return
        self._flush()
        if isinstance(command, commands.CloseTcpConnection):
            self.close_connection(command.connection, command.half_close)
        elif isinstance(command, commands.CloseConnection):
            self.close_connection(command.connection)
        else:
            raise TypeError("an unknown command")

    def _flush(self) -> None:
        """Write what the layers sent during one event, at once: a head and its body leave in one packet."""
        for connection, parts in self._unsent.items():
            io = self.transports.get(connection)
            writer = cast("asyncio.StreamWriter | None", io.writer) if io is not None else None
            if writer is not None and not writer.is_closing():
                writer.write(b"".join(parts))
        self._unsent.clear()

    async def handle_connection(self, connection: Connection) -> None:
        """Read from one side until it ends. The agent is not read while its request has nowhere to go yet."""
        reader = cast("asyncio.StreamReader", self.transports[connection].reader)
        try:
            while True:
                if connection is self.client:
                    await self._client_may_send.wait()
                data = await reader.read(_READ_SIZE)
                if not data:
                    break
                await self.server_event(events.DataReceived(connection, data))
                await self.drain_writers()  # type: ignore[no-untyped-call]
        except OSError:
            pass
        except asyncio.CancelledError:
            connection.state = ConnectionState.CLOSED
            await self._closed(connection)
            raise
        connection.state &= ~ConnectionState.CAN_READ
        await self._closed(connection)

    async def _closed(self, connection: Connection) -> None:
        await self.server_event(events.ConnectionClosed(connection))
        try:
            if connection.state is ConnectionState.CAN_WRITE:
                await asyncio.Event().wait()
        finally:
            io = self.transports.pop(connection)
            if io.writer is not None:
                cast("asyncio.StreamWriter", io.writer).close()

    async def open_connection(self, command: commands.OpenConnection) -> None:
        """Connect to the upstream of the current exchange and serve that side until it ends."""
        server = command.connection
        try:
            reader, writer = await self._dial(server)
        except (OSError, upstream.AddressRefused) as error:
            self._note_failure(error)
            self.transports.pop(server, None)
            await self._resume(events.OpenConnectionCompleted(command, "connection failed"))
            return
        server.state = ConnectionState.OPEN
        server.timestamp_start = server.timestamp_tcp_setup = time.time()
        server.peername = writer.get_extra_info("peername")
        server.sockname = writer.get_extra_info("sockname")
        self.transports[server] = ConnectionIO(asyncio.current_task(), reader, writer)
        if not server.tls:
            self._client_may_send.set()
        loop = asyncio.get_running_loop()
        timer = loop.call_later(UPSTREAM_TLS_TIMEOUT_S, self._upstream_timeout, server)
        await self.server_event(events.OpenConnectionCompleted(command, None))
        try:
            await self.handle_connection(server)
        finally:
            timer.cancel()
            self._client_may_send.set()

    async def _dial(self, server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        exchange = self.session.exchange
        if exchange is None or server.address is None:
            raise OSError("no exchange")
        return await upstream.dial(*server.address[:2], exchange.route)

    async def _resume(self, event: events.Event) -> None:
        self._client_may_send.set()
        await self.server_event(event)

    def _note_failure(self, error: Exception) -> None:
        exchange = self.session.exchange
        if exchange is None or exchange.problem is not None:
            return
        if isinstance(error, upstream.AddressRefused):
            hint = f"{error}: the route needs allow_private or an explicit upstream"
            exchange.problem = Refusal("private-address", hint, "address")
        elif isinstance(error, TimeoutError):
            exchange.problem = Failure("the upstream did not answer in time")
        else:
            exchange.problem = Failure("the upstream cannot be reached")

    def _upstream_timeout(self, server: Server) -> None:
        if server.tls and not server.tls_established:
            self._note_failure(TimeoutError())
            self._cancel(server)

    # -- hooks ---------------------------------------------------------------------------------------------------

    async def handle_hook(self, hook: commands.StartHook) -> None:
        """Serve the few hooks that mitmproxy's own code starts; they decide nothing here."""
        assert isinstance(hook, (server_hooks.ClientConnectedHook, server_hooks.ClientDisconnectedHook))  # noqa: S101

    def _run_hook(self, hook: commands.StartHook) -> events.Event | None:
        waiting = self._hooks.run(hook)
        if waiting is not None:
            self._client_may_send.clear()
            task = asyncio.create_task(self._finish_hook(hook, waiting))
            self.wakeup_timer.add(task)
            return None
        return events.HookCompleted(hook) if hook.blocking else None

    async def _finish_hook(self, hook: commands.StartHook, waiting: Awaitable[None]) -> None:
        try:
            await waiting
        except Exception as error:  # noqa: BLE001 - a crash in a guard refuses
            logger.warning("a guard failed with %s", type(error).__name__)
            self.abort()
            return
        self.wakeup_timer.discard(cast("asyncio.Task[None]", asyncio.current_task()))
        await self._resume(events.HookCompleted(hook))
