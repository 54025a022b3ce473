"""One request and its answer, from the first decision to the line in the audit log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidecars.audit import AuditEntry
from sidecars.egress.answers import Failure, Refusal

if TYPE_CHECKING:
    from sidecars.egress.head import Head
    from sidecars.egress.headers import HeaderList
    from sidecars.egress.routes import Route
    from sidecars.egress.scrub import Scrubber

SIDECAR = "egress"


@dataclass(slots=True)
class Exchange:
    """A request that was allowed by its head. ``headers`` is what will be sent, still without the credential.

    ``buffered`` says that the body has to be read whole, and judged, before a byte goes upstream.
    """

    head: Head
    route: Route
    scheme: str
    host: str
    port: int
    path: str
    query: str
    headers: HeaderList
    buffered: bool
    body_limit: int | None
    websocket: bool = False
    problem: Refusal | Failure | None = None
    scrubber: Scrubber | None = field(default=None, repr=False)
    status: int = 0
    request_bytes: int = 0
    held_bytes: int = 0
    response_bytes: int = 0
    released: bool = False
    answered: bool = False
    recorded: bool = False

    @property
    def target(self) -> str:
        """Path and query as they are sent."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def entry(self) -> AuditEntry:
        """Return the audit line of the exchange as it stands."""
        refused = isinstance(self.problem, Refusal)
        return AuditEntry(
            sidecar=SIDECAR,
            decision="block" if refused else "allow",
            reason=self.problem.reason if isinstance(self.problem, Refusal) else "",
            method=self.head.method,
            host=self.host,
            port=self.port,
            path=self.path,
            status=self.problem.status if self.problem and not self.answered else self.status,
            request_bytes=self.request_bytes,
            response_bytes=self.response_bytes,
            rule=self.problem.rule if self.problem else "",
        )
