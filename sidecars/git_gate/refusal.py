"""The one exception by which the gate says no, and how text of others is made harmless."""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "audit-unavailable",
    "delete-not-allowed",
    "force-not-allowed",
    "fsck",
    "internal",
    "protocol",
    "ref-not-allowed",
    "scanner-failed",
    "secret",
    "stale",
    "tag-not-allowed",
    "too-large",
    "unreadable",
    "unknown-remote",
    "upstream",
]
_SHOWN = 1000


class Refused(Exception):  # noqa: N818 - a decision, not an error
    """The gate refuses; ``message`` and ``hint`` are one line each, for the agent, without any secret."""

    def __init__(self, reason: Reason, message: str, *, hint: str = "", rule: str = "") -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message
        self.hint = hint
        self.rule = rule

    def lines(self) -> list[str]:
        """Return what the agent reads in its terminal."""
        hint = [f"git-gate: hint: {self.hint}"] if self.hint else []
        return [f"git-gate: refused ({self.reason}): {self.message}", *hint]


def printable(text: str | bytes) -> str:
    """Return ``text`` as one short line that cannot move a terminal's cursor or reorder what is shown."""
    decoded = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    shown = "".join(character if character.isprintable() else "?" for character in decoded)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."
