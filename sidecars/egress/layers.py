"""The protocol layers the agent talks to. What comes next is decided here, never guessed from the bytes.

A connection starts as HTTP/1.1 to a proxy. After an allowed CONNECT it is TLS, and in it HTTP/1.1; there is nothing
else it can become, but for WebSocket on a route that says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import h11
from mitmproxy import http
from mitmproxy.net.http.http1 import expected_http_body_size
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    HttpEvent,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._http1 import Http1Server, make_body_reader
from mitmproxy.proxy.layers.tls import ClientTLSLayer

from sidecars.egress.client import EgressLayer
from sidecars.egress.exchange import Exchange
from sidecars.egress.head import MAX_HEAD_BYTES, HeadError, head_length

if TYPE_CHECKING:
    from mitmproxy.proxy.context import Context

    from sidecars.egress.answers import Refusal
    from sidecars.egress.session import Session

_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TLS_HANDSHAKE = 0x16

type Commands = layer.CommandGenerator[None]


class Owner(Protocol):
    """What the layers need from the connection they run in."""

    session: Session

    def head_complete(self) -> None:
        """A head was read in time."""
        ...

    def linger(self) -> None:
        """The last answer is sent: discard what still comes for a moment, then close."""
        ...


class Front(layer.Layer):
    """Reads the first head of a connection and decides what the connection is."""

    def __init__(self, context: Context, owner: Owner) -> None:
        super().__init__(context)
        self._owner = owner
        self._buffer = bytearray()
        self._handle = self._read_head

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, events.DataReceived):
            self._buffer += event.data
            yield from self._handle()
        elif isinstance(event, events.ConnectionClosed):
            yield commands.CloseConnection(self.context.client)

    def _read_head(self) -> Commands:
        try:
            length = head_length(self._buffer)
        except HeadError as error:
            yield from self._refuse(self._owner.session.refuse_bytes(str(error)))
            return
        if not length:
            return
        if self._buffer.startswith(b"CONNECT "):
            yield from self._open_tunnel(length)
        else:
            yield from self._become(_http_layer(self.context, HTTPMode.regular, self._owner))

    def _open_tunnel(self, length: int) -> Commands:
        refusal = self._owner.session.admit_connect(bytes(self._buffer[:length]))
        del self._buffer[:length]
        if refusal is not None:
            yield from self._refuse(refusal)
            return
        yield commands.SendData(self.context.client, _ESTABLISHED)
        self._handle = self._read_tls
        if self._buffer:
            yield from self._read_tls()

    def _read_tls(self) -> Commands:
        if self._buffer[0] != _TLS_HANDSHAKE or (len(self._buffer) > 1 and self._buffer[1] != 3):
            yield from self._refuse(self._owner.session.refuse_bytes("only TLS may be spoken after CONNECT"))
            return
        assert self._owner.session.tunnel is not None  # noqa: S101 - set by admit_connect
        server = self.context.server
        server.address = self._owner.session.tunnel
        server.sni = self._owner.session.tunnel[0]
        server.tls = True
        tls = ClientTLSLayer(self.context)
        tls.child_layer = _http_layer(self.context, HTTPMode.transparent, self._owner)
        yield from self._become(tls)

    def _become(self, successor: layer.Layer) -> Commands:
        data = bytes(self._buffer)
        self._buffer.clear()
        self.handle_event = successor.handle_event  # type: ignore[method-assign]
        yield from successor.handle_event(events.Start())
        yield from successor.handle_event(events.DataReceived(self.context.client, data))

    def _refuse(self, answer: bytes) -> Commands:
        self._handle = self._discard
        self._buffer.clear()
        yield commands.SendData(self.context.client, answer)
        yield commands.CloseTcpConnection(self.context.client, half_close=True)
        self._owner.linger()

    def _discard(self) -> Commands:
        self._buffer.clear()
        yield from ()


def _http_layer(context: Context, mode: HTTPMode, owner: Owner) -> EgressLayer:
    http_layer = EgressLayer(context, mode, owner.session)
    # A connection that is there already is used as it is, whatever protocol was negotiated.
    http_layer.connections[context.client] = StrictServer(context.fork(), owner)
    return http_layer


class StrictServer(Http1Server):
    """HTTP/1.1 towards the agent: judges each head before anything else sees it, and answers refusals itself."""

    def __init__(self, context: Context, owner: Owner) -> None:
        super().__init__(context)
        self._owner = owner
        self._is_over = False

    @property
    def _session(self) -> Session:
        return self._owner.session

    def read_headers(self, event: events.ConnectionEvent) -> Commands:
        """Wait for a whole head, have it judged, and hand on the request that is to be sent."""
        if not isinstance(event, events.DataReceived):
            yield commands.CloseConnection(self.conn)
            return
        try:
            length = head_length(bytes(self.buf))
        except HeadError as error:
            yield from self._answer(self._session.refuse_bytes(str(error)))
            return
        raw = self.buf.maybe_extract_at_most(length) if length else None
        if raw is None:
            return
        self._owner.head_complete()
        verdict = self._session.admit(bytes(raw))
        if isinstance(verdict, Exchange):
            yield from self._begin(verdict, event)
        else:
            yield from self._answer(verdict)

    def _begin(self, exchange: Exchange, event: events.ConnectionEvent) -> Commands:
        self.request = _request(exchange)
        if exchange.head.header("expect") and exchange.head.length != 0:
            yield commands.SendData(self.conn, _CONTINUE)
        size = expected_http_body_size(self.request)
        yield ReceiveHttp(RequestHeaders(self.stream_id, self.request, size == 0))
        self.body_reader = make_body_reader(size)
        self.state = self.read_body
        yield from self.read_body(event)

    def read_body(self, event: events.Event) -> Commands:
        """Hand on the body piece by piece, counted; anything malformed ends the connection."""
        while True:
            try:
                part: object = self._next_part(event)
            except h11.ProtocolError:
                yield from self._abort(_malformed("the body is malformed or incomplete"))
                return
            if isinstance(part, h11.Data):
                refusal = self._count(len(part.data))
                if refusal is not None:
                    yield from self._abort(refusal)
                    return
                yield ReceiveHttp(RequestData(self.stream_id, bytes(part.data)))
                continue
            yield from self._read_rest(part)
            return

    def _next_part(self, event: events.Event) -> object:
        if isinstance(event, events.ConnectionClosed):
            return self.body_reader.read_eof()
        return self.body_reader(self.buf)

    def _read_rest(self, part: object) -> Commands:
        if isinstance(part, h11.EndOfMessage):
            if list(part.headers):
                yield from self._abort(_malformed("trailers are not supported"))
                return
            yield ReceiveHttp(RequestEndOfMessage(self.stream_id))
            yield from self.mark_done(request=True)
        elif len(self.buf) > MAX_HEAD_BYTES:
            yield from self._abort(_malformed("a chunk without end of line"))

    def _count(self, size: int) -> Refusal | None:
        exchange = self._session.exchange
        assert exchange is not None  # noqa: S101 - a body follows a head that was admitted
        return self._session.count_request(exchange, size)

    def passthrough(self, event: events.Event) -> Commands:
        """Relay the agent's side of a WebSocket, judged frame by frame."""
        exchange = self._session.exchange
        if isinstance(event, events.DataReceived) and exchange is not None:
            refusal = self._session.judge_frames(exchange, event.data)
            if refusal is not None:
                exchange.problem = refusal
                self._end()
                yield commands.CloseConnection(self.conn)
                return
        yield from super().passthrough(event)

    def send(self, event: HttpEvent) -> Commands:
        """Send a part of the response; a failure before its first byte becomes an answer that explains it."""
        if self._is_over:
            return
        if not isinstance(event, ResponseProtocolError):
            yield from super().send(event)
            return
        answer = self._session.problem_answer()
        if self.response is None and answer is not None:
            yield from self._answer(answer)
        else:
            yield commands.CloseConnection(self.conn)

    def _abort(self, refusal: Refusal) -> Commands:
        exchange = self._session.exchange
        assert exchange is not None  # noqa: S101 - a body follows a head that was admitted
        exchange.problem = exchange.problem or refusal
        answer = self._session.problem_answer()
        if self.response is None and answer is not None:
            yield from self._answer(answer)
        else:
            yield commands.CloseConnection(self.conn)
            self._end()
        yield ReceiveHttp(RequestProtocolError(self.stream_id, "refused", ErrorCode.GENERIC_CLIENT_ERROR))

    def _end(self) -> None:
        self._is_over = True
        self.state = self.discard

    def _answer(self, answer: bytes) -> Commands:
        """Send the last answer of this connection. Whatever was pipelined behind is never read."""
        self._end()
        yield commands.SendData(self.conn, answer)
        yield commands.CloseTcpConnection(self.conn, half_close=True)
        self._owner.linger()

    def discard(self, event: events.Event) -> Commands:
        """Forget what still comes after the last answer."""
        self.buf.maybe_extract_at_most(len(self.buf))
        if isinstance(event, events.ConnectionClosed):
            yield commands.CloseConnection(self.conn)


def _request(exchange: Exchange) -> http.Request:
    fields = tuple((name.encode(), value.encode("latin-1")) for name, value in exchange.headers)
    return http.Request(
        host=exchange.host,
        port=exchange.port,
        method=exchange.head.method.encode(),
        scheme=exchange.scheme.encode(),
        authority=b"",
        path=exchange.target.encode(),
        http_version=b"HTTP/1.1" if exchange.head.minor_version else b"HTTP/1.0",
        headers=http.Headers(fields),
        content=None,
        trailers=None,
        timestamp_start=0.0,
        timestamp_end=None,
    )


def _malformed(hint: str) -> Refusal:
    from sidecars.egress.answers import Refusal

    return Refusal("protocol", hint, "framing")
