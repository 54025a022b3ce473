"""What all connections of one bottle share, and the policy that may change under them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sidecars.audit import AuditEntry, AuditLog, AuditUnavailable
from sidecars.egress.exchange import SIDECAR
from sidecars.egress.inspection import Inspection
from sidecars.egress.policy import Policy
from sidecars.egress.routes import RouteSet
from sidecars.secrets import SecretStore, placeholder

if TYPE_CHECKING:
    from pathlib import Path

    from sidecars.egress.exchange import Exchange
    from sidecars.egress.scan import ContentScanner
    from sidecars.egress.session import Session
    from sidecars.egress.spec import EgressSpec
    from sidecars.egress.tls import TlsAuthority

MAX_HELD_BYTES = 64 * 1024 * 1024
"""How much of requests may wait in memory at once in all, unless a single one may be larger."""

logger = logging.getLogger("bottlemux.egress")

type _Version = tuple[int, int, int] | None


class LivePolicy:
    """The policy in force. A broken file changes nothing; a good one takes effect in one step."""

    def __init__(self, path: Path) -> None:
        """Load the first policy. Raises ``OSError`` or ``ValueError``: without one, nothing is served."""
        self._path = path
        self._version = self._stat()
        self.current = Policy(RouteSet.load(path).routes)

    def _stat(self) -> _Version:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def refresh(self) -> str | None:
        """Look at the file again. Return why it was not taken, an empty string if it was, ``None`` if unchanged."""
        version = self._stat()
        if version == self._version:
            return None
        self._version = version
        try:
            self.current = Policy(RouteSet.load(self._path).routes)
        except (OSError, ValueError) as error:
            return f"the routes file is not usable ({type(error).__name__}), the former routes stay in force"
        return ""


@dataclass
class Runtime:
    """The parts one bottle's connections share. Owned by ``serve``, which closes the audit log."""

    spec: EgressSpec
    live: LivePolicy
    secrets: SecretStore
    audit: AuditLog
    tls: TlsAuthority
    scanner: ContentScanner | None
    _held: int = 0

    def hold(self, exchange: Exchange, size: int) -> bool:
        """Note that ``size`` bytes from the agent are kept for ``exchange`` now; say whether that is still bearable.

        The proxy runs outside the bottle's limits, so many requests together must not take what each one may.
        """
        self._held += size - exchange.held_bytes
        exchange.held_bytes = size
        return self._held <= max(MAX_HELD_BYTES, self.spec.max_request_bytes)

    @property
    def policy(self) -> Policy:
        """The policy in force now."""
        return self.live.current

    @cached_property
    def inspection(self) -> Inspection:
        """The scanner, with the modes of the bottle and its routes."""
        return Inspection(self.scanner, self.spec.scan_mode, self.record)

    def record(self, entry: AuditEntry) -> None:
        """Write an audit line; if that fails the line waits and :meth:`AuditLog.check` refuses what comes next."""
        try:
            self.audit.record(entry)
        except AuditUnavailable as error:
            logger.warning("%s", error)

    def warn(self, rule: str, text: str) -> None:
        """Say something to the operator: in the log, and as a line of the audit."""
        logger.warning("%s", text)
        self.record(AuditEntry(sidecar=SIDECAR, decision="warn", rule=rule))

    def record_handshake(self, session: Session) -> None:
        """Note that the agent broke off TLS, for want of trust or of a common language."""
        host, port = session.tunnel or ("", 0)
        self.record(
            AuditEntry(SIDECAR, "block", "protocol", "CONNECT", host, port, rule="client-tls-handshake")
        )

    def record_crash(self, session: Session) -> None:
        """Note that a connection was closed because something in the proxy failed."""
        host, port = session.tunnel or ("", 0)
        self.record(AuditEntry(SIDECAR, "block", "protocol", host=host, port=port, rule="proxy-failure"))

    def placeholders(self) -> dict[str, str]:
        """Return each placeholder that is in the agent's environment, with the name of its token."""
        known = {route.token_ref.name for route in self.policy.routes if route.token_ref} | self.secrets.names
        return {placeholder(name): name for name in known}
