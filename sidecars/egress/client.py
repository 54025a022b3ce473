"""HTTP/1.1 towards the upstream: no head without end is taken in, and only the final answer goes on to the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import HttpClient, HttpLayer, HTTPMode, RegisterHttpConnection
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import ErrorCode, ResponseHeaders, ResponseProtocolError
from mitmproxy.proxy.layers.http._http1 import Http1Client, make_body_reader

from sidecars.egress.answers import Failure
from sidecars.egress.head import MAX_HEAD_BYTES

if TYPE_CHECKING:
    from mitmproxy.proxy.context import Context

    from sidecars.egress.session import Session

MAX_INTERIM = 16
"""How many answers that only say to go on may come before the final one."""

type Commands = layer.CommandGenerator[None]


class EgressLayer(HttpLayer):
    """mitmproxy's HTTP with :class:`BoundedClient` towards upstreams."""

    def __init__(self, context: Context, mode: HTTPMode, session: Session) -> None:
        super().__init__(context, mode)
        self._session = session

    def register_connection(self, command: RegisterHttpConnection) -> Commands:
        """Put the bounded client in the place of mitmproxy's, before a byte has come."""
        layers = self.connections[command.connection].context.layers
        client = next(each for each in reversed(layers) if isinstance(each, HttpClient))
        if command.err is None:
            bounded = BoundedClient(client.context, self._session)
            yield from bounded.handle_event(events.Start())
            client.handle_event = bounded.handle_event  # type: ignore[method-assign]
        yield from super().register_connection(command)


class BoundedClient(Http1Client):
    """Ends the exchange where the upstream's head, or a line between chunks, does not end in time."""

    def __init__(self, context: Context, session: Session) -> None:
        super().__init__(context)
        self._session = session
        self._interim = 0

    def read_headers(self, event: events.ConnectionEvent) -> Commands:
        """Wait for the whole head of the final answer and hand it on."""
        if not isinstance(event, events.DataReceived) or self.request is None:
            yield from super().read_headers(event)
            return
        while (lines := self.buf.maybe_extract_lines()) is not None:
            if not lines or _is_interim(bytes(lines[0])):
                self._interim += 1
            else:
                yield from self._begin([bytes(line) for line in lines], event)
                return
            if self._interim > MAX_INTERIM:
                yield from self._fail("the upstream keeps saying that its answer is still to come")
                return
        if len(self.buf) > MAX_HEAD_BYTES:
            yield from self._fail(f"the head of the upstream's answer is longer than {MAX_HEAD_BYTES} bytes")

    def _begin(self, lines: list[bytes], event: events.DataReceived) -> Commands:
        assert self.request is not None  # noqa: S101 - checked by the caller
        assert self.stream_id is not None  # noqa: S101 - comes with the request
        self._interim = 0
        try:
            self.response = http1.read_response_head(lines)
            size = http1.expected_http_body_size(self.request, self.response)
        except ValueError:
            yield from self._fail("the head of the upstream's answer is malformed")
            return
        yield ReceiveHttp(ResponseHeaders(self.stream_id, self.response, size == 0))
        self.body_reader = make_body_reader(size)
        self.state = self.read_body
        yield from self.read_body(event)

    def read_body(self, event: events.Event) -> Commands:
        """Hand on the body; what stays behind can only be a line that has not ended."""
        yield from super().read_body(event)
        is_within = self.response is not None and not self.response_done
        if is_within and len(self.buf) > MAX_HEAD_BYTES:
            yield from self._fail("the upstream's answer has a chunk without end of line")

    def _fail(self, detail: str) -> Commands:
        exchange = self._session.exchange
        if exchange is not None:
            exchange.problem = exchange.problem or Failure(detail)
        self.state = self.done
        yield commands.CloseConnection(self.conn)
        if self.stream_id is not None:
            yield ReceiveHttp(ResponseProtocolError(self.stream_id, detail, ErrorCode.GENERIC_SERVER_ERROR))


def _is_interim(status_line: bytes) -> bool:
    """Say whether another answer follows; a change of the protocol (101) is final."""
    status = status_line.split(b" ", 2)[1:2]
    return bool(status) and status[0][:1] == b"1" and len(status[0]) == 3 and status != [b"101"]
