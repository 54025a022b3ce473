"""Deciding about what agents ask for. What is decided is what was shown, by its hash, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.actions.conditions import always
from bottlemux.actions.model import Action, Become, Outcome, Prepared, Told, Typed

if TYPE_CHECKING:
    from bottlemux.actions.model import Subject
    from bottlemux.lifecycle.context import Context
    from sidecars.supervise.proposal import Proposal


def _approve(context: Context, subject: Subject) -> Prepared:
    return _approving(context, subject, persist=False)


def _approve_for_good(context: Context, subject: Subject) -> Prepared:
    return _approving(context, subject, persist=True)


def _approving(context: Context, subject: Subject, *, persist: bool) -> Prepared:
    from bottlemux.approvals.effects import check
    from bottlemux.approvals.finding import find
    from bottlemux.approvals.showing import asked, manifest_change

    proposal = find(context.paths, subject.name)
    if proposal.kind == "capability":
        return _rebuilding(context, proposal, persist=persist)
    check(context.paths, proposal, persist=persist)
    lines = asked(context.paths, proposal)
    if persist:
        lines += ["", *manifest_change(context.paths, proposal)]

    def carry_out() -> Outcome:
        from bottlemux.approvals.deciding import approve

        done = approve(context.paths, proposal.id, seen=proposal.content_hash, persist=persist)
        note = f" ({done.note})" if done.note else ""
        return Told(f"{done.slug} may now do what it asked for{note}")

    return Prepared(carry_out, "\n".join(lines), "Approve it for good?" if persist else "Approve it?")


def _rebuilding(context: Context, proposal: Proposal, *, persist: bool) -> Prepared:
    """The build takes long and is to be seen, so it gets the terminal."""
    from bottlemux.approvals.effects import check
    from bottlemux.approvals.showing import asked, manifest_change
    from bottlemux.lifecycle.rebuilding import Rebuilding

    check(context.paths, proposal, persist=persist, rebuilder=Rebuilding(context, lambda _line: None))
    lines = asked(context.paths, proposal)
    if persist:
        lines += ["", *manifest_change(context.paths, proposal)]
    options = ["--hold", "--seen", proposal.content_hash, *(["--persist"] if persist else [])]
    argv = context.own_argv("approvals", "approve", *options, proposal.id)
    return Prepared(lambda: Become(tuple(argv)), "\n".join(lines), "Approve it, and rebuild the bottle?")


def _reject(context: Context, subject: Subject) -> Prepared:
    from bottlemux.approvals.finding import find
    from bottlemux.approvals.showing import asked

    proposal = find(context.paths, subject.name)
    lines = asked(context.paths, proposal)
    if subject.typed:
        lines += ["", f"the agent is told: {subject.typed}"]

    def carry_out() -> Outcome:
        from bottlemux.approvals.deciding import reject

        done = reject(context.paths, proposal.id, seen=proposal.content_hash, reason=subject.typed)
        return Told(f"{done.slug}: rejected")

    return Prepared(carry_out, "\n".join(lines), "Reject it?")


PROPOSAL_ACTIONS = (
    Action("approve", "approve", "Allow it until the bottle is deleted; the agent goes on at once.", ("a",),
           "proposal", always, _approve, "decide"),
    Action("reject", "reject", "Refuse it; a reason that you type is told to the agent.", (), "proposal", always,
           _reject, "decide", typed=Typed("reason for the agent", optional=True)),
    Action("persist", "approve for good", "Allow it, and write it into the bottle's manifest.", (), "proposal",
           always, _approve_for_good, "decide"),
)  # fmt: skip
"""The first one has the key that shows all that agents ask for."""
