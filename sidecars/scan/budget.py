"""What unpacking may cost. Whoever sends data decides its shape, so every dimension has an end."""

from __future__ import annotations

import time
from dataclasses import dataclass

ENGINE_FAILED = "engine"
"""The reason of an :class:`UnreadableError` that says nothing of the content: the engine gave no verdict."""


class UnreadableError(Exception):
    """The content cannot be looked into within the limits, so nothing is known of it: refuse it.

    ``reason`` is one word for the audit log: ``too-large``, ``too-deep``, ``too-many``, ``too-slow``,
    ``damaged``, ``encrypted``, ``unknown-encoding``, or :data:`ENGINE_FAILED`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"content cannot be inspected: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """Bounds of one inspection: bytes produced by unpacking in all, layers, items, seconds."""

    max_bytes: int = 64 << 20
    max_depth: int = 5
    max_items: int = 20_000
    max_seconds: float = 10.0


class Budget:
    """What is left of some :class:`Limits` for one inspection; running out is an :class:`UnreadableError`."""

    def __init__(self, limits: Limits) -> None:
        self._bytes = limits.max_bytes
        self._items = limits.max_items
        self.max_depth = limits.max_depth
        self.deadline = time.monotonic() + limits.max_seconds

    def take(self, count: int) -> None:
        """Account for ``count`` bytes that unpacking produced."""
        self._bytes -= count
        if self._bytes < 0:
            raise UnreadableError("too-large")
        self.check_time()

    def item(self) -> None:
        """Account for one stream or archive member."""
        self._items -= 1
        if self._items < 0:
            raise UnreadableError("too-many")

    def check_time(self) -> None:
        """Fail when time is up."""
        if time.monotonic() > self.deadline:
            raise UnreadableError("too-slow")
