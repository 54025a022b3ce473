"""What the agent is told about a finding: which rule, in which part of the request, and what to do; never a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecars.egress.answers import Refusal

if TYPE_CHECKING:
    from sidecars.egress.scan import FindingLike

UNAVAILABLE = "scanner-unavailable"
"""The rule of a finding that says only that there is no verdict."""

_PARTS = {"url": "URL", "header": "headers", "message": "WebSocket message", "host": "host name"}
_UNREADABLE = {
    "too-large": "it unpacks to too much: send less at a time",
    "too-deep": "it is packed in too many layers: send it unpacked",
    "too-many": "it has too many parts: send fewer at a time",
    "too-slow": "that takes too long: send it in smaller requests",
    "damaged": "its compression or structure is broken: send it whole, or unpacked",
    "encrypted": "part of it is encrypted: send that in the clear or not at all",
    "unknown-encoding": "its encoding is unknown: use UTF-8, and gzip or no compression",
}
_EXCEPTION = "if it has to be sent, ask the operator for a route with pipelock: warn"


def refusal(finding: FindingLike) -> Refusal:
    """Return the refusal for ``finding``; its rule for the audit is ``RULE:WHERE``."""
    part, _, reason = finding.where.partition(":")
    hint = _hint(finding.rule, _PARTS.get(part, part), reason)
    return Refusal("dlp", hint, f"{finding.rule}:{finding.where}")


def _hint(rule: str, part: str, reason: str) -> str:
    match rule:
        case "suspicious-label":
            return (
                "under a wildcard route this host name looks like data rather than a name: "
                "ask the operator for a route to this very host with the supervise tool egress-block"
            )
        case "known-secret":
            return (
                f"a credential of the operator's is in the {part}, as it is or encoded: leave it out, "
                "the proxy adds credentials itself"
            )
        case "unreadable":
            why = _UNREADABLE.get(reason, "it could not be read")
            return f"the {part} cannot be inspected for secrets: {why}; {_EXCEPTION}"
        case _ if rule == UNAVAILABLE:
            return (
                "the scanner that inspects requests gives no verdict now, so nothing is sent: "
                "try again later, and tell the operator if it lasts"
            )
        case _:
            return (
                f"something in the {part} looks like a secret (rule {rule}): leave it out or put an invented "
                f"value in its place; {_EXCEPTION}"
            )
