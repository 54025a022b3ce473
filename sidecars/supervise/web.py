"""The HTTP side: what reaches the protocol at all. Every limit holds before anything is parsed by it."""

from __future__ import annotations

import asyncio
import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from uvicorn.protocols.http.h11_impl import H11Protocol

from sidecars.supervise import reports
from sidecars.supervise.activity import BadEvent
from sidecars.supervise.spec import HOST, PORT

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from mcp.server.lowlevel import Server
    from starlette.types import Message, Receive, Scope, Send

    from sidecars.supervise.reports import Reports

MAX_BODY_BYTES = 64 * 1024
MAX_CONNECTIONS = 64
HEAD_TIMEOUT_S = 10.0
BODY_TIMEOUT_S = 10.0
MAX_DEPTH = 16
_LINGER_BYTES = 1024 * 1024
_PARSE_ERROR = -32700
_INVALID_REQUEST = -32600
_HOSTS = [HOST, f"{HOST}:{PORT}"]
_ORIGINS = [f"http://{HOST}", f"http://{HOST}:{PORT}"]
# What an agent can make these say fills the log; every decision is in the audit.
_SILENT = logging.CRITICAL + 1
_LOGGERS = ("root", "mcp", "uvicorn", "sse_starlette", "asyncio")


async def run(server: Server[Any, Any], taken: Reports, listeners: Sequence[socket.socket]) -> None:
    """Serve the protocol, and the reports beside it, on bound, listening sockets until cancelled."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(_SILENT)
    # Without sessions there is none to forge, to exhaust or to mix up: each request stands alone.
    manager = StreamableHTTPSessionManager(
        server,
        stateless=True,
        max_request_body_size=MAX_BODY_BYTES,
    )
    config = uvicorn.Config(
        Guard(manager, taken), interface="asgi3", http=Impatient, ws="none", lifespan="off", log_config=None,
        access_log=False, limit_concurrency=MAX_CONNECTIONS, server_header=False, date_header=False,
        proxy_headers=False, timeout_graceful_shutdown=1,
    )  # fmt: skip
    async with manager.run():
        await uvicorn.Server(config).serve(sockets=list(listeners))


class Impatient(H11Protocol):
    """Closes a connection on which no request begins: neither the first one, nor the next after an answer."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def on_response_complete(self) -> None:
        """Wait for the next one."""
        self._wait()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop()
        self._waiting = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _stop(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    def _give_up(self) -> None:
        if not self.cycle or self.cycle.response_complete:
            self.transport.close()


class Guard:
    """Refuses what is no request to this server: another path or method, a session, a body that is no message."""

    def __init__(self, manager: StreamableHTTPSessionManager, taken: Reports) -> None:
        self._manager = manager
        self._reports = taken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        # Read in any case: a connection that is closed with data unread takes the answer with it.
        body, problem = await _read_body(receive)
        problem = _refuse_head(scope) or problem
        if not problem and scope["path"] == reports.PATH:
            await self._report(body, send)
            return
        problem = problem or _refuse_body(body)
        if problem:
            await _answer(send, *problem)
            return
        await self._manager.handle_request(scope, _again(body, receive), send)

    async def _report(self, body: bytes, send: Send) -> None:
        try:
            self._reports.take(body)
        except BadEvent as error:
            await _answer(send, 400, _INVALID_REQUEST, str(error))
        except reports.TooMany:
            await _answer(send, 429, _INVALID_REQUEST, "too many reports")
        except OSError:
            await _answer(send, 507, _INVALID_REQUEST, "the report could not be written down")
        else:
            await send({"type": "http.response.start", "status": 204, "headers": [(b"connection", b"close")]})
            await send({"type": "http.response.body"})


type _Problem = tuple[int, int, str]


def _refuse_head(scope: Scope) -> _Problem | None:
    headers = scope["headers"]
    if [value for name, value in headers if name == b"host"] not in [[host.encode()] for host in _HOSTS]:
        return 421, _INVALID_REQUEST, "this is not the server that the request is meant for"
    origins = {origin.encode() for origin in _ORIGINS}
    if any(value not in origins for name, value in headers if name == b"origin"):
        return 403, _INVALID_REQUEST, "this origin is not allowed"
    if scope["path"] not in {"/", reports.PATH}:
        return 404, _INVALID_REQUEST, f"there are only / and {reports.PATH}"
    if any(name == b"mcp-session-id" for name, _ in headers):
        return 404, _INVALID_REQUEST, "there is no such session"
    if scope["method"] != "POST":
        return 405, _INVALID_REQUEST, "use POST"
    return None


async def _read_body(receive: Receive) -> tuple[bytes, _Problem | None]:
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return b"", (400, _INVALID_REQUEST, "the request is not complete")
                part = message.get("body", b"")
                size += len(part)
                if size <= MAX_BODY_BYTES:
                    body += part
                if message.get("more_body", False) and size < _LINGER_BYTES:
                    continue
                if size > MAX_BODY_BYTES:
                    return b"", (413, _INVALID_REQUEST, f"a message has at most {MAX_BODY_BYTES} bytes")
                return bytes(body), None
    except TimeoutError:
        return b"", (408, _INVALID_REQUEST, "the request took too long")


def _refuse_body(body: bytes) -> _Problem | None:
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return 400, _PARSE_ERROR, "this is not JSON"
    if not isinstance(value, dict):
        return 400, _INVALID_REQUEST, "a message is one JSON object"
    # The library takes a request whose id is of another type for a notification, and lets it go unanswered.
    identifier = cast("dict[str, object]", value).get("id", 0)
    if not isinstance(identifier, int | str) or isinstance(identifier, bool):
        return 400, _INVALID_REQUEST, "an id is a number or text"
    if _is_deeper(value, MAX_DEPTH):  # pyright: ignore[reportUnknownArgumentType]
        return 400, _INVALID_REQUEST, "the message is nested too deeply"
    try:
        # Half a character, which JSON can write as an escape, could not be put into an answer.
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return 400, _PARSE_ERROR, "its text is not valid Unicode"
    return None


def _is_deeper(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        return levels == 0 or any(_is_deeper(item, levels - 1) for item in value.values())  # pyright: ignore
    if isinstance(value, list):
        return levels == 0 or any(_is_deeper(item, levels - 1) for item in value)  # pyright: ignore
    return False


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that has the body which was read already, and then whatever comes."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


async def _answer(send: Send, status: int, code: int, text: str) -> None:
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": text}}
    data = json.dumps(error).encode() + b"\n"
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append((b"allow", b"POST"))
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})
