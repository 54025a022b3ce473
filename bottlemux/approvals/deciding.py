"""Deciding proposals. Whatever happens, a decision has exactly one effect and is on record before it has it."""

from __future__ import annotations

import getpass
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from bottlemux.approvals.effects import apply, check
from bottlemux.approvals.finding import all_proposals, find, store_of
from bottlemux.errors import BottlemuxError
from bottlemux.text import printable
from sidecars.audit import AuditLog, AuditUnavailable
from sidecars.supervise.desk import audit_entry
from sidecars.supervise.proposal import BrokenProposal, now

if TYPE_CHECKING:
    from collections.abc import Generator

    from bottlemux.approvals.effects import Rebuilder
    from bottlemux.paths import Paths
    from sidecars.supervise.proposal import Proposal, State
    from sidecars.supervise.store import ProposalStore

MAX_NOTE = 1000


def approve(
    paths: Paths,
    identifier: str,
    *,
    seen: str = "",
    persist: bool = False,
    rebuilder: Rebuilder | None = None,
) -> Proposal:
    """Approve an open proposal, carry that out, and return it ``active``.

    ``rebuilder`` is needed for programs; that takes long, and other decisions about the bottle go on meanwhile.
    ``seen`` is the content hash of what the operator was shown, where that was earlier. ``persist`` also writes it
    into the bottle's manifest. Raises a ``BottlemuxError``, without any effect, for a proposal that was decided
    before, is not what was seen, or cannot be carried out; when carrying it out fails it is ``failed`` for good.
    """
    named = find(paths, identifier)
    store = store_of(paths, named.slug)
    check(paths, named, persist=persist, rebuilder=rebuilder)
    with _changing(store):
        proposal = _still_open(store, named, seen or named.content_hash)
        if proposal.kind != "capability":
            check(paths, proposal, persist=persist)
        approved = _decided(proposal, "approved", persist=persist)
        _record(paths, approved, "allow", "approved")
        store.save(approved)
        if proposal.kind != "capability":
            return _carry_out(paths, store, approved)
    return _rebuild(paths, store, approved, rebuilder)


def reject(paths: Paths, identifier: str, *, seen: str = "", reason: str = "") -> Proposal:
    """Reject an open proposal; ``reason`` is told to the agent. Raises as :func:`approve` does."""
    named = find(paths, identifier)
    store = store_of(paths, named.slug)
    with _changing(store):
        proposal = _still_open(store, named, seen or named.content_hash)
        rejected = replace(_decided(proposal, "rejected"), note=reason[:MAX_NOTE])
        _record(paths, rejected, "block", "rejected")
        store.save(rejected)
        return rejected


def settle(paths: Paths, rebuilder: Rebuilder | None = None) -> list[Proposal]:
    """Finish what was approved and then interrupted; return what that was.

    What cannot be finished now stays approved, and what somebody is at is left to them. Raises the first failure,
    once all others are finished.
    """
    settled: list[Proposal] = []
    failures: list[BottlemuxError] = []
    for proposal in all_proposals(paths):
        if proposal.state == "approved" and (proposal.kind != "capability" or rebuilder is not None):
            try:
                done = _settle(paths, proposal, rebuilder)
                settled += [done] if done is not None else []
            except BottlemuxError as error:
                failures.append(error)
    if failures:
        raise failures[0]
    return settled


def _settle(paths: Paths, proposal: Proposal, rebuilder: Rebuilder | None) -> Proposal | None:
    store = store_of(paths, proposal.slug)
    if proposal.kind == "capability":
        with store.carrying_out(wait=False) as mine:
            if not mine or _load(store, proposal).state != "approved":
                return None
            check(paths, proposal, persist=proposal.persist, rebuilder=rebuilder)
            return _carry_out(paths, store, proposal, rebuilder)
    with _changing(store):
        current = _load(store, proposal)
        return _carry_out(paths, store, current) if current.state == "approved" else None


def _rebuild(paths: Paths, store: ProposalStore, approved: Proposal, rebuilder: Rebuilder | None) -> Proposal:
    """Carry out ``approved``, one after the other in a bottle, unless somebody else just did."""
    with store.carrying_out():
        current = _load(store, approved)
        if current.state == "approved":
            return _carry_out(paths, store, current, rebuilder)
    if current.state != "active":
        raise BottlemuxError(f"proposal {approved.id} was approved, but that failed: {current.note}")
    return current


@contextmanager
def _changing(store: ProposalStore) -> Generator[None]:
    """Hold the store's lock; what the disk refuses is an error for a person."""
    try:
        with store.locked():
            yield
    except OSError as error:
        raise BottlemuxError(f"the decision could not be written: {error.strerror}") from error


def _load(store: ProposalStore, proposal: Proposal) -> Proposal:
    try:
        return store.load(proposal.id)
    except (OSError, BrokenProposal) as error:
        raise BottlemuxError(f"proposal {proposal.id} cannot be read any more: {error}") from error


def _still_open(store: ProposalStore, named: Proposal, seen: str) -> Proposal:
    proposal = _load(store, named)
    if proposal.content_hash != seen:
        raise BottlemuxError(
            f"proposal {proposal.id} is not what was shown",
            hint=f"bottlemux approvals show {proposal.id}",
            topic="deciding",
        )
    if proposal.state != "pending":
        when = f" at {proposal.decided_at} by {proposal.decided_by}" if proposal.decided_at else ""
        raise BottlemuxError(
            f"proposal {proposal.id} was decided before: {proposal.state}{when}", topic="deciding"
        )
    return proposal


def _decided(proposal: Proposal, state: State, *, persist: bool = False) -> Proposal:
    return replace(
        proposal, state=state, decided_at=now(), decided_by=getpass.getuser(), note="", persist=persist
    )


def _carry_out(
    paths: Paths, store: ProposalStore, approved: Proposal, rebuilder: Rebuilder | None = None
) -> Proposal:
    try:
        note = apply(paths, approved, rebuilder)
    except (BottlemuxError, OSError, ValueError) as error:
        text = error.message if isinstance(error, BottlemuxError) else str(error)
        # What a build says is about what the agent asked for; anything else is about the operator's machine.
        why = printable(text)[:MAX_NOTE] if approved.kind == "capability" else "tell the operator"
        failed = replace(approved, state="failed", note=f"it was approved, but that failed: {why}")
        store.save(failed)
        _record(paths, failed, "block", "failed")
        raise BottlemuxError(f"proposal {approved.id} was approved, but that failed: {text}") from error
    active = replace(approved, state="active", note=note)
    store.save(active)
    return active


def _record(paths: Paths, proposal: Proposal, decision: str, reason: str) -> None:
    rule = f"proposal {proposal.id} by {proposal.decided_by}{', persisted' if proposal.persist else ''}"
    try:
        with closing(AuditLog(paths.bottle(proposal.slug).audit)) as log:
            log.check()
            log.record(audit_entry(decision, reason, proposal.kind, proposal.request, rule))
    except AuditUnavailable as error:
        raise BottlemuxError(f"nothing was decided: {error}", hint="make room on the disk") from error
