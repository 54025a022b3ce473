"""Proposals over all bottles of a user. Reading only, and cheap."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bottlemux.errors import UsageError, unknown_name
from bottlemux.identity import is_slug
from sidecars.supervise.store import ProposalStore

if TYPE_CHECKING:
    from bottlemux.paths import Paths
    from sidecars.supervise.proposal import Kind, Proposal

_OPEN = frozenset({"pending", "approved"})


def store_of(paths: Paths, slug: str) -> ProposalStore:
    """Return the proposals of one bottle, running or ended."""
    return ProposalStore(paths.bottle(slug).proposals, slug)


def all_proposals(paths: Paths) -> list[Proposal]:
    """Return every proposal of every bottle there is a directory for, the oldest first."""
    try:
        slugs = [name for name in os.listdir(paths.bottles) if is_slug(name)]
    except FileNotFoundError:
        return []
    found = [proposal for slug in slugs for proposal in store_of(paths, slug).list()]
    return sorted(found, key=lambda proposal: (proposal.created_at, proposal.id))


def open_proposals(paths: Paths, slug: str | None = None) -> list[Proposal]:
    """Return what waits for the operator, or is approved and not in force yet, the oldest first."""
    known = all_proposals(paths) if slug is None else store_of(paths, slug).list()
    return [proposal for proposal in known if proposal.state in _OPEN]


def granted(paths: Paths, slug: str, kind: Kind) -> list[Proposal]:
    """Return what is in force of one kind, in the order of the decisions."""
    active = [each for each in store_of(paths, slug).list() if each.kind == kind and each.state == "active"]
    return sorted(active, key=lambda proposal: (proposal.decided_at, proposal.id))


def awaited(paths: Paths, slug: str) -> Proposal | None:
    """Return the oldest open proposal for which the agent of ``slug`` stands still, if any."""
    store = store_of(paths, slug)
    return next((each for each in open_proposals(paths, slug) if store.is_awaited(each.id)), None)


def find(paths: Paths, text: str) -> Proposal:
    """Return the one proposal whose id is ``text`` or begins with it.

    None at all is a NotFoundError that lists the open ones, more than one a UsageError.
    """
    known = all_proposals(paths)
    matches = [proposal for proposal in known if text and proposal.id.startswith(text)]
    if not matches:
        ids = [proposal.id for proposal in known if proposal.state in _OPEN]
        raise unknown_name("proposal", text, ids, hint="bottlemux approvals list")
    if len(matches) > 1:
        listing = ", ".join(proposal.id for proposal in matches)
        raise UsageError(f"{text!r} is not unique: {listing}", hint="write more of the id")
    return matches[0]
