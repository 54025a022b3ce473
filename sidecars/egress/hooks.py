"""What egress does at each step of a request: mitmproxy's hooks, served without its addons."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

from mitmproxy import flow as mitm_flow

from sidecars.egress import names, responses
from sidecars.egress.answers import Failure, Refusal
from sidecars.egress.session import crash_refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mitmproxy import http, tls
    from mitmproxy.proxy import commands
    from mitmproxy.websocket import WebSocketMessage

    from sidecars.egress.exchange import Exchange
    from sidecars.egress.inspection import Look
    from sidecars.egress.session import Session

logger = logging.getLogger("bottlemux.egress")

_WITH_BODIES = frozenset({"POST", "PUT", "PATCH"})


class Owner(Protocol):
    """What the hooks need from the connection they serve."""

    def abort(self) -> None:
        """Close every transport of the connection now."""
        ...

    def close_upstreams(self) -> None:
        """Close the connections to servers, so that the next request makes a new one."""
        ...

    def let_agent_send(self) -> None:
        """Read from the agent again."""
        ...


class Hooks:
    """The steps of the requests on one connection. A step that has to wait returns what to wait for."""

    def __init__(self, session: Session, owner: Owner) -> None:
        self._session = session
        self._owner = owner
        self._dialling: tuple[object, ...] | None = None
        self._may_be_unread = False
        self._steps: dict[str, Callable[[Any], Awaitable[None] | None]] = {
            "tls_clienthello": self.on_tls_clienthello,
            "tls_start_client": self.on_tls_start_client,
            "tls_failed_client": self.on_tls_failed_client,
            "tls_start_server": self.on_tls_start_server,
            "tls_established_server": self.on_tls_established_server,
            "tls_failed_server": self.on_tls_failed_server,
            "requestheaders": self.on_requestheaders,
            "request": self.on_request,
            "responseheaders": self.on_responseheaders,
            "response": self.on_response,
            "error": self.on_error,
            "websocket_message": self.on_websocket_message,
            "websocket_end": self.on_websocket_end,
        }

    def run(self, hook: commands.StartHook) -> Awaitable[None] | None:
        """Do the step that ``hook`` stands for; most others need nothing done."""
        step = self._steps.get(hook.name)
        return step(*hook.args()) if step is not None else None

    def _current(self) -> Exchange:
        """Return the exchange; a flow or a connection to a server exists only for one."""
        if self._session.exchange is None:
            raise LookupError("no exchange")
        return self._session.exchange

    def on_tls_clienthello(self, data: tls.ClientHelloData) -> None:
        """Note the name the agent asks for; requests are judged by it."""
        self._session.sni = data.client_hello.sni

    def on_tls_start_client(self, data: tls.TlsData) -> None:
        """Answer the handshake under the name that was asked for; another than CONNECT's gets refusals only."""
        assert self._session.tunnel is not None  # noqa: S101 - no TLS without a tunnel
        asked = names.canonical_host(self._session.sni or "")
        data.ssl_conn = self._session.runtime.tls.accept(asked or self._session.tunnel[0])

    def on_tls_failed_client(self, _data: tls.TlsData) -> None:
        """Record a handshake that the agent broke off."""
        self._session.runtime.record_handshake(self._session)

    def on_tls_start_server(self, data: tls.TlsData) -> None:
        """Begin a verified handshake for the host of the exchange."""
        exchange = self._current()
        try:
            data.ssl_conn = self._session.runtime.tls.connect(exchange.host, exchange.route.upstream_ca)
        except Exception as error:  # noqa: BLE001 - without a context there is no connection
            logger.warning("upstream_ca of %s is not usable: %s", exchange.host, type(error).__name__)
            exchange.problem = Failure("upstream_ca of the route is not usable")

    def on_tls_established_server(self, _data: tls.TlsData) -> None:
        """Let the agent's body flow."""
        self._owner.let_agent_send()

    def on_tls_failed_server(self, data: tls.TlsData) -> None:
        """Note that the upstream is not who it should be, or does not speak TLS."""
        exchange = self._session.exchange
        if exchange is not None and exchange.problem is None:
            verified = "verify failed" in (data.conn.error or "")
            detail = (
                "certificate is not valid for this host" if verified else "does not complete a TLS handshake"
            )
            exchange.problem = Failure(f"the upstream's {detail}" if verified else f"the upstream {detail}")

    def on_requestheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Have the head judged where that takes waiting; nothing of the request goes anywhere before."""
        exchange = self._current()
        self._part_from_upstreams(exchange)
        inspection = self._session.runtime.inspection
        look = inspection.head(exchange)
        if look is None or not inspection.is_slow(look):
            return self._release_unread(flow)  # judged when the head was admitted
        return self._judge_later(flow, look, self._release_unread)

    def _release_unread(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Release a request whose body is not to be judged, so that it streams."""
        exchange = self._current()
        if exchange.buffered or exchange.head.length == 0:
            return None
        flow.request.stream = True
        return self._release(flow)

    def _part_from_upstreams(self, exchange: Exchange) -> None:
        """Close a kept connection that was made for a route which goes elsewhere or trusts others.

        And one on which a server may take the last request's body for the begin of this one, as some do where the
        method has none as a rule: what the agent wrote there would get this one's credential.
        """
        dialling = exchange.route.dialling
        if self._dialling is not None and (self._dialling != dialling or self._may_be_unread):
            self._owner.close_upstreams()
        self._dialling = dialling
        self._may_be_unread = exchange.head.length != 0 and exchange.head.method not in _WITH_BODIES

    def on_request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Judge a whole body, then release the request."""
        exchange = self._current()
        if exchange.released:
            return None
        body = flow.request.raw_content or b""
        exchange.problem = self._session.check_lfs(exchange, body)
        if exchange.problem is not None:
            _kill(flow)
            return None
        return self._judge(flow, self._session.runtime.inspection.body(exchange, body), self._release)

    def _judge(
        self, flow: http.HTTPFlow, look: Look | None, go_on: Callable[[http.HTTPFlow], Awaitable[None] | None]
    ) -> Awaitable[None] | None:
        """Take ``look``, now or in a thread, then kill the flow or go on with it."""
        inspection = self._session.runtime.inspection
        if look is not None and inspection.is_slow(look):
            return self._judge_later(flow, look, go_on)
        refusal = self._guarded(look) if look is not None else None
        return self._act_on(refusal, flow, go_on)

    async def _judge_later(
        self, flow: http.HTTPFlow, look: Look, go_on: Callable[[http.HTTPFlow], Awaitable[None] | None]
    ) -> None:
        exchange = self._current()
        try:
            refusal = await self._session.runtime.inspection.judge_apart(exchange, look)
        except asyncio.CancelledError:
            exchange.problem = exchange.problem or Failure("the agent left", "client-gone")
            raise
        except Exception as error:  # noqa: BLE001 - a crash in a guard refuses
            refusal = crash_refusal(error)
        waiting = self._act_on(refusal, flow, go_on)
        if waiting is not None:
            await waiting

    def _guarded(self, look: Look) -> Refusal | None:
        try:
            return self._session.runtime.inspection.judge(self._current(), look)
        except Exception as error:  # noqa: BLE001 - a crash in a guard refuses
            return crash_refusal(error)

    def _act_on(
        self,
        refusal: Refusal | None,
        flow: http.HTTPFlow,
        go_on: Callable[[http.HTTPFlow], Awaitable[None] | None],
    ) -> Awaitable[None] | None:
        if refusal is None:
            return go_on(flow)
        self._current().problem = refusal
        _kill(flow)
        return None

    def _release(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        exchange = self._current()
        exchange.released = True
        reference = exchange.route.token_ref
        if reference is None:
            return None
        if self._session.runtime.secrets.may_block(reference.name):
            return self._release_later(flow)
        self._inject(flow, self._session.credential(exchange))
        return None

    async def _release_later(self, flow: http.HTTPFlow) -> None:
        exchange = self._current()
        self._inject(flow, await asyncio.to_thread(self._session.credential, exchange))

    def _inject(self, flow: http.HTTPFlow, credential: tuple[str, str] | Refusal | None) -> None:
        if isinstance(credential, Refusal):
            self._current().problem = credential
            _kill(flow)
        elif credential is not None:
            flow.request.headers[credential[0]] = credential[1]

    def on_responseheaders(self, flow: http.HTTPFlow) -> None:
        """Prepare the response for streaming."""
        exchange = self._session.exchange
        if exchange is None or flow.response is None:
            return
        failure = responses.prepare(exchange, flow.response)
        if failure is not None:
            exchange.problem = failure
            _kill(flow)

    def on_response(self, _flow: http.HTTPFlow) -> None:
        """Record the finished exchange; a WebSocket goes on and is recorded at its end."""
        exchange = self._session.exchange
        if exchange is not None and not (exchange.websocket and exchange.status == 101):
            self._session.finish()

    def on_error(self, flow: http.HTTPFlow) -> None:
        """Record an exchange that did not finish."""
        exchange = self._session.exchange
        if exchange is not None and exchange.problem is None:
            gone = flow.error is not None and flow.error.msg == "Client disconnected."
            exchange.problem = Failure("the connection failed", "client-gone" if gone else "upstream")
        self._session.finish()

    def on_websocket_end(self, _flow: http.HTTPFlow) -> None:
        """Record a WebSocket with all it carried."""
        self._session.finish()

    def on_websocket_message(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Judge what the agent says, and take the credential out of what it is told."""
        exchange = self._current()
        assert flow.websocket is not None  # noqa: S101 - by the hook's contract
        message = flow.websocket.messages[-1]
        flow.websocket.messages.clear()
        if not message.from_client:
            exchange.response_bytes += len(message.content)
            if exchange.scrubber is not None:
                message.content = exchange.scrubber.whole(message.content)
            return None
        exchange.request_bytes += len(message.content)
        look = self._session.runtime.inspection.message(exchange, message.content)
        if look is not None and self._session.runtime.inspection.is_slow(look):
            return self._judge_message_later(message, look)
        self._act_on_message(self._guarded(look) if look is not None else None, message)
        return None

    async def _judge_message_later(self, message: WebSocketMessage, look: Look) -> None:
        try:
            refusal = await self._session.runtime.inspection.judge_apart(self._current(), look)
        except Exception as error:  # noqa: BLE001 - a crash in a guard refuses
            refusal = crash_refusal(error)
        self._act_on_message(refusal, message)

    def _act_on_message(self, refusal: Refusal | None, message: WebSocketMessage) -> None:
        exchange = self._current()
        self._session.runtime.hold(exchange, 0)
        if refusal is not None:
            exchange.problem = refusal
            message.drop()  # type: ignore[no-untyped-call]
            self._owner.abort()


def _kill(flow: http.HTTPFlow) -> None:
    flow.error = mitm_flow.Error(mitm_flow.Error.KILLED_MESSAGE)
