"""The whole look at some content: every reading of it, every layer packed in it, by rules and by value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sidecars.scan.budget import Budget, Limits, UnreadableError
from sidecars.scan.decode import packed
from sidecars.scan.engine import Match, ScanTimeoutError
from sidecars.scan.views import embedded, text_views

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidecars.scan.exact import SecretNeedles

KNOWN_SECRET = "known-secret"  # noqa: S105 - the name of a rule
"""The rule of a finding that is a secret the sidecar itself holds."""


class Searcher(Protocol):
    """What finds secrets in plain content: :class:`sidecars.scan.engine.Engine`, or another in its place."""

    def scan(self, data: bytes, *, path: str = "", deadline: float | None = None) -> list[Match]:
        """Return what was found; no verdict in time is a :class:`ScanTimeoutError`."""
        ...


@dataclass(frozen=True)
class Inspector:
    """Searches content for secrets through encodings, compression and archives, within ``limits``.

    Either answer is certain or there is none: content that cannot be read to the end within the limits is an
    :class:`UnreadableError`, which the caller must treat as a refusal.
    """

    engine: Searcher
    needles: SecretNeedles
    limits: Limits = field(default_factory=Limits)

    def first(self, data: bytes, *, path: str = "", budget: Budget | None = None) -> Match | None:
        """Return one finding, or None when there is none. Offsets are those of the layer it was found in."""
        return next(self._findings(data, path, budget or Budget(self.limits)), None)

    def rules(self, data: bytes, *, path: str = "", budget: Budget | None = None) -> list[str]:
        """Return the ids of all rules that find something, in order, each once."""
        findings = self._findings(data, path, budget or Budget(self.limits))
        return list(dict.fromkeys(match.rule for match in findings))

    def _findings(self, data: bytes, path: str, budget: Budget) -> Iterator[Match]:
        try:
            for layer in _layers(data, budget):
                for view in text_views(layer):
                    yield from self._in_view(view, path, budget)
        except ScanTimeoutError as error:
            raise UnreadableError("too-slow") from error

    def _in_view(self, view: bytes, path: str, budget: Budget) -> Iterator[Match]:
        budget.check_time()
        if self.needles.find(view):
            yield Match(0, len(view), KNOWN_SECRET)
        yield from self.engine.scan(view, path=path, deadline=budget.deadline)


def _layers(data: bytes, budget: Budget) -> Iterator[bytes]:
    """Yield ``data``, then everything packed or encoded in it, then in that, until nothing is left."""
    pending = [(data, 0)]
    while pending:
        layer, depth = pending.pop()
        yield layer
        for inner in _inside(layer, budget):
            if depth >= budget.max_depth:
                raise UnreadableError("too-deep")
            pending.append((inner, depth + 1))


def _inside(layer: bytes, budget: Budget) -> Iterator[bytes]:
    yield from (inner for inner in packed(layer, budget) if inner)
    if decoded := embedded(layer):
        budget.take(len(decoded))
        yield decoded
