"""What a content scanner has to offer. Egress works with any, and without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

type Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not leave. ``rule`` and ``where`` are names for the audit log, never the content."""

    rule: str
    where: str


class FindingLike(Protocol):
    """Anything with the two names of a :class:`Finding`."""

    @property
    def rule(self) -> str:
        """The rule that matched."""
        ...

    @property
    def where(self) -> str:
        """The part of the request it matched in."""
        ...


class ContentScanner(Protocol):
    """Looks at what the agent sends, before any credential is added. An exception refuses the request.

    :meth:`scan_body`, :meth:`scan_message` and, if ``waits``, :meth:`scan_head` are called from several threads.
    """

    @property
    def waits(self) -> bool:
        """Whether a look waits for another process, so that even a short one is for a thread."""
        ...

    def scan_host(self, host: str, wildcard: str) -> FindingLike | None:
        """Judge a canonical host that a ``wildcard`` (``*.NAME``) matched, before it is looked up. Never waits."""
        ...

    def scan_head(self, method: str, url: str, headers: Headers) -> FindingLike | None:
        """Return the first finding in the request's URL and headers."""
        ...

    def scan_body(self, body: bytes, content_type: str, content_encoding: str) -> FindingLike | None:
        """Return the first finding in a whole body; what cannot be read is a finding."""
        ...

    def scan_message(self, data: bytes) -> FindingLike | None:
        """Return the first finding in one WebSocket message."""
        ...

    def scan_control(self, data: bytes) -> FindingLike | None:
        """Return the first finding in the payload of a WebSocket control frame, 125 bytes at most. Never waits."""
        ...
