"""Takes what the agent asks, once and within limits, and tells it what became of that."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from sidecars.audit import AuditEntry, AuditLog, AuditUnavailable
from sidecars.supervise.checks import Refused
from sidecars.supervise.proposal import BrokenProposal, Kind, Proposal, is_id, now
from sidecars.supervise.store import ProposalStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidecars.supervise.spec import SuperviseSpec

SIDECAR = "supervise"
MAX_OPEN = 16
MAX_PER_HOUR = 60
MAX_KEPT = 300
MAX_WAITING = 16
REPEAT_AFTER_S = 600.0
POLL_S = 0.1
# egress looks for a new policy this often at least; an answer before that would send the agent into a refusal.
IN_FORCE_AFTER_S = 0.5
_FINAL = frozenset({"rejected", "active", "failed"})


class Desk:
    """One bottle's requests. Every proposal that it takes is a file when :meth:`submit` returns."""

    def __init__(self, spec: SuperviseSpec) -> None:
        self._store = ProposalStore(spec.proposals_dir, spec.slug)
        self._slug = spec.slug
        self._audit = AuditLog(spec.audit_file)
        self._waiting = 0

    def submit(self, kind: Kind, request: Mapping[str, object], reason: str) -> Proposal:
        """Return the proposal for ``request``: a new one, or the one that asked the same before.

        Raises :class:`Refused` when the agent asks for too much, or when it cannot be written down.
        """
        wanted = Proposal(self._slug, kind, request, reason)
        try:
            self._audit.check()
            with self._store.locked():
                kept = self._store.list()
                if (same := _same(wanted, kept)) is not None:
                    return same
                _check_limits(kept)
                self._forget_oldest(kept)
                self._store.save(wanted)
            self._record("warn", "asked", wanted.kind, wanted.request, f"proposal {wanted.id}")
        except (OSError, AuditUnavailable):
            raise Refused("storage", "the request could not be written down: tell the operator") from None
        return wanted

    def _forget_oldest(self, kept: Sequence[Proposal]) -> None:
        over = len(kept) - MAX_KEPT + 1
        for proposal in [each for each in kept if each.state in {"rejected", "failed"}][: max(0, over)]:
            self._store.delete(proposal)

    def refused(self, kind: Kind, refusal: Refused, request: Mapping[str, object]) -> None:
        """Record that something was not put before the operator."""
        self._record("block", "not-askable", kind, request, refusal.rule)

    def _record(
        self, decision: str, reason: str, kind: Kind, request: Mapping[str, object], rule: str
    ) -> None:
        # A line that cannot be written now is kept, and submit checks the log before it takes anything.
        with contextlib.suppress(AuditUnavailable):
            self._audit.record(audit_entry(decision, reason, kind, request, rule))

    def find(self, identifier: str) -> Proposal:
        """Return a proposal of this bottle. Raises :class:`Refused` for any other."""
        try:
            if is_id(identifier):
                return self._store.load(identifier)
        except (OSError, BrokenProposal):
            pass
        raise Refused("unknown", "there is no such proposal in this bottle")

    async def wait(self, proposal: Proposal, seconds: float) -> Proposal:
        """Return ``proposal`` as it is once it is decided and in force, or after ``seconds``."""
        if seconds <= 0 or proposal.state in _FINAL:
            return await self._in_force(proposal)
        if self._waiting >= MAX_WAITING:
            raise Refused("flood", "too many calls wait already: use wait-for-decision once")
        self._waiting += 1
        try:
            with self._store.waiting_for(proposal.id):
                return await self._in_force(await self._poll(proposal, seconds))
        except OSError:
            raise Refused("storage", "waiting is not possible now: tell the operator") from None
        finally:
            self._waiting -= 1

    async def _poll(self, proposal: Proposal, seconds: float) -> Proposal:
        deadline = time.monotonic() + seconds
        while proposal.state not in _FINAL and (left := deadline - time.monotonic()) > 0:
            await asyncio.sleep(min(POLL_S, left))
            proposal = self.find(proposal.id)
        return proposal

    async def _in_force(self, proposal: Proposal) -> Proposal:
        if proposal.state == "active" and (age := _age_s(proposal.decided_at)) < IN_FORCE_AFTER_S:
            await asyncio.sleep(min(IN_FORCE_AFTER_S, IN_FORCE_AFTER_S - age))
        return proposal

    def close(self) -> None:
        """Close the audit log."""
        self._audit.close()


def audit_entry(
    decision: str, reason: str, kind: Kind, request: Mapping[str, object], rule: str
) -> AuditEntry:
    """Return the audit line about a request: what was asked is in method, host, port and path."""
    methods, paths = ",".join(_texts(request, "methods")), ",".join(_texts(request, "paths"))
    port = request.get("port")
    return AuditEntry(
        sidecar=SIDECAR,
        decision=decision,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        reason=reason,
        method=methods or kind,
        host=str(request.get("host", "")),
        port=port if isinstance(port, int) else 0,
        # The log cuts a path at these, which a path's prefix and a branch's name may hold.
        path=(paths or _place(request)).replace("#", "%23").replace("?", "%3F"),
        rule=rule,
    )


def _place(request: Mapping[str, object]) -> str:
    if "branch" in request:
        return f"{request['remote']}:{request['branch']}"
    return "; ".join(
        [" ".join(_texts(request, "packages")), *_texts(request, "dockerfile_lines")]
    ).removeprefix("; ")


def _texts(request: Mapping[str, object], name: str) -> list[str]:
    listed = request.get(name)
    return [str(item) for item in cast("list[object]", listed)] if isinstance(listed, list) else []


def _same(wanted: Proposal, kept: Sequence[Proposal]) -> Proposal | None:
    """Return the latest proposal that asked the same and still answers it: open, granted, or just refused."""
    for proposal in reversed(kept):
        if proposal.ask != wanted.ask:
            continue
        if proposal.state not in {"rejected", "failed"} or _age_s(proposal.decided_at) < REPEAT_AFTER_S:
            return proposal
    return None


def _check_limits(kept: Sequence[Proposal]) -> None:
    if sum(proposal.state == "pending" for proposal in kept) >= MAX_OPEN:
        raise Refused("flood", f"{MAX_OPEN} proposals are open already: wait for decisions")
    since = datetime.now(UTC) - timedelta(hours=1)
    if sum(datetime.fromisoformat(proposal.created_at) > since for proposal in kept) >= MAX_PER_HOUR:
        raise Refused("flood", f"more than {MAX_PER_HOUR} proposals in an hour: ask for less")
    if sum(proposal.state not in {"rejected", "failed"} for proposal in kept) >= MAX_KEPT:
        raise Refused(
            "flood", f"{MAX_KEPT} proposals are kept already: the operator has to widen the manifest"
        )


def _age_s(timestamp: str) -> float:
    try:
        return (datetime.fromisoformat(now()) - datetime.fromisoformat(timestamp)).total_seconds()
    except ValueError:
        return 0.0
