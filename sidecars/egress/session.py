"""The decisions on one client connection. No input or output happens here, and nothing is looked up."""

from __future__ import annotations

import base64
import binascii
import logging
from typing import TYPE_CHECKING

from sidecars.audit import AuditEntry, AuditUnavailable
from sidecars.egress import answers, gitpush, headers, names
from sidecars.egress import head as heads
from sidecars.egress.answers import Failure, Refusal
from sidecars.egress.exchange import SIDECAR, Exchange
from sidecars.egress.frames import AgentFrames, FrameError, MessageTooLargeError
from sidecars.egress.policy import RequestFacts
from sidecars.egress.scrub import Scrubber
from sidecars.secrets import PLACEHOLDER_PREFIX, SecretUnavailable

if TYPE_CHECKING:
    from sidecars.egress.head import Head
    from sidecars.egress.policy import Decision
    from sidecars.egress.runtime import Runtime

logger = logging.getLogger("bottlemux.egress")


class Session:
    """Judges the requests of one client connection, one after the other.

    ``tunnel`` is host and port of an allowed CONNECT, ``sni`` the name the client then asked for in TLS.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.tunnel: tuple[str, int] | None = None
        self.sni: str | None = None
        self.exchange: Exchange | None = None
        self._frames: AgentFrames | None = None

    # -- the first line of defence: heads ----------------------------------------------------------------------

    def admit_connect(self, raw: bytes) -> bytes | None:
        """Judge a CONNECT; return the refusal to send, or ``None`` after having noted the tunnel."""
        host, port = "", 0
        try:
            host, port = heads.parse_connect_target(heads.parse(raw))
            refusal = self._judge_connect(host, port)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong refuses
            refusal = crash_refusal(error)
        if refusal is not None:
            return self._refuse_head("CONNECT", host, port, "", refusal)
        self.tunnel = (host, port)
        return None

    def _judge_connect(self, host: str, port: int) -> Refusal | None:
        decision = self.runtime.policy.connect(host, port)
        if not decision.allowed:
            return Refusal(decision.reason, decision.hint, "connect")
        routes = [route for route in self.runtime.policy.candidates(host) if route.port == port]
        return self.runtime.inspection.judge_connect(host, routes)

    def admit(self, raw: bytes) -> Exchange | bytes:
        """Judge a request by its head; return the exchange to go on with, or the whole answer to send instead."""
        facts: RequestFacts | None = None
        method, path = "", ""
        try:
            head = heads.parse(raw)
            method = head.method
            facts = self._facts(head)
            if not facts.tunnel and facts.host == names.EGRESS_HOST:
                return answers.routes_response(
                    self.runtime.policy.routes, facts.target, with_body=method != "HEAD"
                )
            decision = self.runtime.policy.request(facts)
            path = decision.path
            outcome = self._after_policy(head, facts, decision)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong refuses
            outcome = crash_refusal(error)
        if isinstance(outcome, Exchange):
            self.exchange = outcome
            return outcome
        host, port = (facts.host, facts.port) if facts else self.tunnel or ("", 0)
        return self._refuse_head(method, host, port, path, outcome)

    def refuse_bytes(self, hint: str) -> bytes:
        """Return the refusal of something that is no request of HTTP/1.1 at all."""
        host, port = self.tunnel or ("", 0)
        return self._refuse_head("", host, port, "", Refusal("protocol", hint, "framing"))

    def _refuse_head(self, method: str, host: str, port: int, path: str, refusal: Refusal) -> bytes:
        self.runtime.record(
            AuditEntry(
                sidecar=SIDECAR,
                decision="block",
                reason=refusal.reason,
                method=method,
                host=host,
                port=port,
                path=path,
                status=refusal.status,
                rule=refusal.rule,
            )
        )
        return answers.problem_response(refusal, host, with_body=method != "HEAD")

    def _facts(self, head: Head) -> RequestFacts:
        target = heads.parse_target(head.target)
        if self.tunnel is not None:
            if target.authority:
                raise heads.HeadError("an absolute URL inside a tunnel")
            host, port = self.tunnel
            return RequestFacts(
                "https", host, port, head.method, target.path, head.header("host"), tunnel=True, sni=self.sni
            )
        if not target.authority:
            raise heads.HeadError("no absolute URL: this is a proxy, not the server")
        if target.scheme != "http":
            raise heads.HeadError("https needs CONNECT")
        split = names.split_authority(target.authority)
        host, port = (target.authority, 80) if split is None else (split[0], split[1] or 80)
        return RequestFacts(target.scheme, host, port, head.method, target.path, head.header("host"))

    def _after_policy(self, head: Head, facts: RequestFacts, decision: Decision) -> Exchange | Refusal:
        if not decision.allowed or decision.route is None:
            return Refusal(decision.reason, decision.hint, "policy")
        upgrade = head.header("upgrade").lower()
        if upgrade and not (upgrade == "websocket" and decision.route.websocket and head.length == 0):
            return Refusal("protocol", "no upgrade is allowed on this route (websocket: true)", "upgrade")
        if head.header("expect").lower() not in {"", "100-continue"}:
            return Refusal("protocol", "an unknown expectation", "expect")
        exchange = self._exchange(head, facts, decision)
        refusal = (
            self._check_placeholders(exchange)
            or self._check_size(exchange)
            or self.runtime.inspection.judge_host(exchange)
            or self._judge_head(exchange)
        )
        if refusal is not None:
            return refusal
        try:
            self.runtime.audit.check()
        except AuditUnavailable as error:
            return Refusal("protocol", str(error), "audit")
        return exchange

    def _exchange(self, head: Head, facts: RequestFacts, decision: Decision) -> Exchange:
        route = decision.route
        assert route is not None  # noqa: S101 - checked by the caller
        host = names.canonical_host(facts.host) or facts.host
        websocket = bool(head.header("upgrade"))
        sent = headers.clean(list(head.headers), websocket=websocket)
        if route.token_ref is not None:
            sent = headers.without_credentials(sent, route)
            sent = [(name, value) for name, value in sent if name != "accept-encoding"]
            sent.append(("accept-encoding", "identity"))
        sent = [(name, value) for name, value in sent if name not in {"host", "sec-websocket-extensions"}]
        sent.insert(0, ("host", names.host_port(host, facts.port, facts.scheme)))
        is_batch = gitpush.is_lfs_batch(head.method, decision.path)
        limit = gitpush.MAX_BATCH_BYTES if is_batch else self.runtime.spec.max_request_bytes
        buffered = head.length != 0 and (is_batch or self.runtime.inspection.scans(route))
        return Exchange(
            head=head,
            route=route,
            scheme=facts.scheme,
            host=host,
            port=facts.port,
            path=decision.path,
            query=facts.target.partition("?")[2],
            headers=sent,
            buffered=buffered,
            body_limit=limit if buffered else None,
            websocket=websocket,
        )

    # -- guards on what the agent sends -------------------------------------------------------------------------

    def _check_placeholders(self, exchange: Exchange) -> Refusal | None:
        """Refuse a placeholder on its way to a host it does not belong to: it shows a mistake, or an attempt."""
        own = exchange.route.token_ref.name if exchange.route.token_ref else ""
        if own and headers.names_credential(exchange.query):
            return Refusal(
                "dlp", "this route has its credential already: send none in the URL", "own-credential"
            )
        sent = [exchange.target, *(value for _, value in exchange.head.headers)]
        sent += [_basic_pair(value) for name, value in exchange.head.headers if name == "authorization"]
        text = "\n".join(sent)
        if PLACEHOLDER_PREFIX not in text:
            return None
        foreign = {name: stand_in for stand_in, name in self.runtime.placeholders().items() if name != own}
        for name, stand_in in foreign.items():
            if stand_in in text and not (own.startswith(name) and f"{PLACEHOLDER_PREFIX}{own}" in text):
                return Refusal(
                    "dlp", f"the placeholder of {name} does not belong to this host", "placeholder"
                )
        return None

    def _check_size(self, exchange: Exchange) -> Refusal | None:
        length, limit = exchange.head.length, exchange.body_limit
        return _too_large(limit) if limit is not None and length is not None and length > limit else None

    def _judge_head(self, exchange: Exchange) -> Refusal | None:
        """Judge URL and headers, unless that takes waiting: then it is a step of its own, before the body."""
        inspection = self.runtime.inspection
        look = inspection.head(exchange)
        return None if look is None or inspection.is_slow(look) else inspection.judge(exchange, look)

    def count_request(self, exchange: Exchange, size: int) -> Refusal | None:
        """Count body bytes as they come; return a refusal once there are more than may be kept."""
        exchange.request_bytes += size
        limit = exchange.body_limit
        if limit is not None and exchange.request_bytes > limit:
            return _too_large(limit)
        return self._hold(exchange, exchange.request_bytes) if exchange.buffered else None

    def _hold(self, exchange: Exchange, size: int) -> Refusal | None:
        if self.runtime.hold(exchange, size):
            return None
        return Refusal("too-large", "too much is being sent at once on all connections: try again", "memory")

    def check_lfs(self, exchange: Exchange, body: bytes) -> Refusal | None:
        """Refuse a batch of git LFS that is not clearly a download."""
        if not gitpush.is_lfs_batch(exchange.head.method, exchange.path):
            return None
        if exchange.head.header("content-encoding") or not gitpush.is_lfs_download(body):
            return Refusal("git-push", gitpush.HINT, "lfs-upload")
        return None

    def judge_frames(self, exchange: Exchange, data: bytes) -> Refusal | None:
        """Judge bytes of a WebSocket before they are relayed: framing, message size, payloads of control frames."""
        if self._frames is None:
            self._frames = AgentFrames(self.runtime.spec.max_request_bytes)
        try:
            for payload in self._frames.feed(data):
                refusal = self.runtime.inspection.judge_control(exchange, payload)
                if refusal is not None:
                    return refusal
            return self._hold(exchange, self._frames.held)
        except MessageTooLargeError:
            return _too_large(self.runtime.spec.max_request_bytes)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong refuses
            return crash_refusal(error)

    # -- the credential ------------------------------------------------------------------------------------------

    def credential(self, exchange: Exchange) -> tuple[str, str] | Refusal | None:
        """Return the header to add, if the route has one; may run a command. Prepares scrubbing the response.

        A credential that cannot be had refuses with the reason ``protocol``: host, path and method are allowed, and
        nothing the agent does would help; the hint and the rule ``secret-unavailable`` say what is wrong.
        """
        if exchange.route.token_ref is None:
            return None
        name = exchange.route.token_ref.name
        try:
            secret = self.runtime.secrets.get(name)
        except SecretUnavailable as error:
            return Refusal(
                "protocol", f"the credential {name} is not available: {error}", "secret-unavailable"
            )
        password = secret.partition(":")[2]
        exchange.scrubber = Scrubber(secret, password) if password else Scrubber(secret)
        return headers.credential(exchange.route, secret)

    # -- the end ---------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Write the audit line of the current exchange, once."""
        exchange = self.exchange
        if exchange is None:
            return
        self.runtime.hold(exchange, 0)
        if not exchange.recorded:
            exchange.recorded = True
            self.runtime.record(exchange.entry())

    def problem_answer(self) -> bytes | None:
        """Return the answer for an exchange that cannot go on; anything unexplained is a failed upstream."""
        exchange = self.exchange
        if exchange is None:
            return None
        problem = exchange.problem or Failure("the connection to the upstream failed")
        return answers.problem_response(problem, exchange.host, with_body=exchange.head.method != "HEAD")


def _too_large(limit: int | None) -> Refusal:
    return Refusal("too-large", f"bodies on this route are limited to {limit} bytes", "size")


def crash_refusal(error: Exception) -> Refusal:
    """Return the refusal for a guard that raised ``error``; what it said is not repeated."""
    if isinstance(error, heads.HeadError):
        return Refusal("protocol", str(error), "framing")
    if isinstance(error, FrameError):
        return Refusal("protocol", "malformed WebSocket frames", "framing")
    logger.warning("a guard failed with %s, the request is refused", type(error).__name__)
    return Refusal("protocol", "the request could not be judged", "guard-failure")


def _basic_pair(value: str) -> str:
    scheme, _, encoded = value.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded.strip(), validate=False).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""
