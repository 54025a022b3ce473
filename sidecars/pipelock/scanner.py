"""Judges what an agent is about to send. Knows no proxy: bytes and text in, a finding or nothing out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sidecars.pipelock.content import MediaType, body_values, query_values, recoded
from sidecars.pipelock.labels import suspicious_label
from sidecars.scan.budget import ENGINE_FAILED, Budget, Limits, UnreadableError
from sidecars.scan.inflate import undo_content_encoding
from sidecars.scan.inspect import KNOWN_SECRET, Inspector

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sidecars.scan.exact import SecretNeedles
    from sidecars.scan.inspect import Searcher

type Mode = Literal["block", "warn", "off"]

REQUEST_LIMITS = Limits(max_bytes=48 << 20, max_depth=5, max_items=5_000, max_seconds=5.0)
"""What looking into one request may cost."""


@dataclass(frozen=True)
class Finding:
    """Why a request is refused: the ``rule``, and ``where``: ``host``, ``url``, ``header``, ``body`` or ``message``.

    The rule is ``unreadable`` for what could not be looked into; ``where`` then ends in ``:REASON``. It is
    ``scanner-unavailable`` when there was no verdict at all. Fit for an audit line: nothing that was sent is in it.
    """

    rule: str
    where: str


class PipelockScanner:
    """Scans requests and WebSocket messages for secrets. Immutable and safe to share between threads.

    ``mode`` is for the caller: ``block`` means refuse what is found, ``warn`` let it pass and write it down.
    With ``off`` nothing is scanned. After a rotation make a new scanner with :meth:`with_needles`.
    """

    def __init__(
        self,
        engine: Searcher,
        needles: SecretNeedles,
        mode: Mode = "block",
        *,
        limits: Limits = REQUEST_LIMITS,
    ) -> None:
        self.mode: Mode = mode
        self._engine = engine
        self._needles = needles
        self._limits = limits
        self._inspector = Inspector(engine, needles, limits)

    def with_needles(self, needles: SecretNeedles) -> PipelockScanner:
        """Return the same scanner for other secrets."""
        return PipelockScanner(self._engine, needles, self.mode, limits=self._limits)

    def scan_head(self, method: str, url: str, headers: Iterable[tuple[str, str]]) -> Finding | None:
        """Scan the request line and the header fields, names included."""
        fields = [(_raw(name), _raw(value)) for name, value in headers]
        lines = b"\n".join(name + b": " + value for name, value in fields)
        line = _raw(f"{method} {url}")
        return self._scan("url", line, query_values(line)) or self._scan(
            "header", lines, [value for _, value in fields]
        )

    def scan_host(self, host: str, wildcard: str) -> Finding | None:
        """Judge what ``host`` adds to a ``wildcard`` (``*.example.com``) before anybody is asked for its address."""
        return Finding("suspicious-label", "host") if suspicious_label(host, wildcard) else None

    def scan_body(self, body: bytes, content_type: str, content_encoding: str) -> Finding | None:
        """Scan a request's whole body; the two header values as sent, empty when absent."""
        if self.mode == "off" or not body:
            return None
        media = MediaType.parse(content_type)
        try:
            plain = undo_content_encoding(content_encoding, body, Budget(self._limits))
            text = recoded(plain, media.charset)
            values = body_values(text, media)
        except UnreadableError as error:
            return _unreadable("body", error)
        return self._scan("body", text, values)

    def scan_message(self, data: bytes) -> Finding | None:
        """Scan one WebSocket message, whole."""
        return self._scan("message", data, body_values(data, MediaType.parse("application/json")))

    def _scan(self, where: str, data: bytes, values: Sequence[bytes]) -> Finding | None:
        if self.mode == "off" or not data:
            return None
        budget = Budget(self._limits)
        try:
            found = self._inspector.first(data, budget=budget)
            if found is None and b"\\" in data and values:
                found = self._inspector.first(b"\n".join(values), budget=budget)
        except UnreadableError as error:
            return _unreadable(where, error)
        if found is not None:
            return Finding(found.rule, where)
        return Finding(KNOWN_SECRET, where) if self._needles.find_split(values) else None


def _unreadable(where: str, error: UnreadableError) -> Finding:
    if error.reason == ENGINE_FAILED:
        return Finding("scanner-unavailable", where)
    return Finding("unreadable", f"{where}:{error.reason}")


def _raw(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
