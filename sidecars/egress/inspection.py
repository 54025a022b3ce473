"""Pipelock's place in egress: what is shown to the scanner, and in which mode a finding is acted on.

Looks that may take long run in threads, so that the bottle's other requests go on meanwhile.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sidecars.audit import AuditEntry
from sidecars.egress import findings, names
from sidecars.egress.exchange import SIDECAR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidecars.egress.answers import Refusal
    from sidecars.egress.exchange import Exchange
    from sidecars.egress.routes import Route
    from sidecars.egress.scan import ContentScanner, FindingLike

INLINE_BYTES = 8 * 1024
"""What is scanned at once, for it takes less than handing it to a thread."""

_BULK_THREADS = 2


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a part of a request that is still to be taken. ``run`` may be called from any thread."""

    run: Callable[[], FindingLike | None]
    size: int


class Inspection:
    """The scanner with the modes of bottle and routes, shared by a bottle's connections. Without one all passes."""

    def __init__(
        self,
        scanner: ContentScanner | None,
        mode: Literal["block", "warn", "off"],
        record: Callable[[AuditEntry], None],
    ) -> None:
        self._scanner = scanner
        self._mode = mode
        self._record = record
        # Apart from the loop's own threads: large bodies must not stand in the way of name look-ups.
        self._bulk = ThreadPoolExecutor(_BULK_THREADS, "scan")

    def mode(self, route: Route) -> str:
        """Return what holds on ``route``: ``block``, ``warn`` or ``off``."""
        return "off" if self._scanner is None else route.pipelock or self._mode

    def scans(self, route: Route) -> bool:
        """Whether content is looked at on ``route``."""
        return self.mode(route) != "off"

    def is_slow(self, look: Look) -> bool:
        """Whether ``look`` has to be taken with :meth:`judge_apart`."""
        return self._waits or look.size > INLINE_BYTES

    @property
    def _waits(self) -> bool:
        return self._scanner is not None and self._scanner.waits

    # -- names, before any is looked up ------------------------------------------------------------------------

    def judge_connect(self, host: str, routes: Sequence[Route]) -> Refusal | None:
        """Refuse a CONNECT to a host that no request to it could be allowed for; ``routes`` are those to it."""
        if any(self.mode(route) != "block" for route in routes):
            return None
        finding = self._scan_host(host, routes[0])
        return findings.refusal(finding) if finding else None

    def judge_host(self, exchange: Exchange) -> Refusal | None:
        """Judge the host of a request."""
        if not self.scans(exchange.route):
            return None
        return self.verdict(exchange, self._scan_host(exchange.host, exchange.route))

    def _scan_host(self, host: str, route: Route) -> FindingLike | None:
        if self._scanner is None or not route.host.startswith("*."):
            return None
        return self._scanner.scan_host(host, route.host)

    # -- content -----------------------------------------------------------------------------------------------

    def head(self, exchange: Exchange) -> Look | None:
        """Return the look at URL and headers, if there is to be one."""
        scanner = self._scanner
        if scanner is None or not self.scans(exchange.route):
            return None
        authority = names.host_port(exchange.host, exchange.port, exchange.scheme)
        url = f"{exchange.scheme}://{authority}{exchange.target}"
        # A head is bounded, so it is small even if it is long.
        return Look(lambda: scanner.scan_head(exchange.head.method, url, exchange.headers), 0)

    def body(self, exchange: Exchange, body: bytes) -> Look | None:
        """Return the look at a whole body, if there is to be one."""
        scanner = self._scanner
        if scanner is None or not body or not self.scans(exchange.route):
            return None
        kind, encoding = exchange.head.header("content-type"), exchange.head.header("content-encoding")
        return Look(lambda: scanner.scan_body(body, kind, encoding), len(body))

    def message(self, exchange: Exchange, data: bytes) -> Look | None:
        """Return the look at one WebSocket message, if there is to be one."""
        scanner = self._scanner
        if scanner is None or not self.scans(exchange.route):
            return None
        return Look(lambda: scanner.scan_message(data), len(data))

    def judge_control(self, exchange: Exchange, payload: bytes) -> Refusal | None:
        """Judge the payload of a WebSocket control frame, which is small."""
        if self._scanner is None or not payload or not self.scans(exchange.route):
            return None
        return self.verdict(exchange, self._scanner.scan_control(payload))

    def judge(self, exchange: Exchange, look: Look) -> Refusal | None:
        """Take ``look`` now."""
        return self.verdict(exchange, look.run())

    async def judge_apart(self, exchange: Exchange, look: Look) -> Refusal | None:
        """Take ``look`` in a thread."""
        bulk = self._bulk if look.size > INLINE_BYTES else None
        finding = await asyncio.get_running_loop().run_in_executor(bulk, look.run)
        return self.verdict(exchange, finding)

    def verdict(self, exchange: Exchange, finding: FindingLike | None) -> Refusal | None:
        """Return the refusal for ``finding``, or write a warning down where the mode says so.

        Without a verdict nothing passes in either mode.
        """
        if finding is None:
            return None
        refusal = findings.refusal(finding)
        if self.mode(exchange.route) == "block" or finding.rule == findings.UNAVAILABLE:
            return refusal
        self._record(
            AuditEntry(
                sidecar=SIDECAR,
                decision="warn",
                reason=refusal.reason,
                method=exchange.head.method,
                host=exchange.host,
                port=exchange.port,
                path=exchange.path,
                rule=refusal.rule,
            )
        )
        return None
