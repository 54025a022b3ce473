"""``bottlemux approvals``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from bottlemux.cli import console, selection
from bottlemux.errors import BottlemuxError
from bottlemux.text import age

if TYPE_CHECKING:
    from bottlemux.approvals.effects import Rebuilder
    from bottlemux.lifecycle.context import Context
    from sidecars.supervise.proposal import Proposal

_HEADINGS = ("id", "slug", "kind", "age", "summary")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list", help="what agents ask for, over all bottles; columns are tab-separated but at a terminal"
    )
    listing.add_argument(
        "--all", action="store_true", help="the decided ones too, with their state as last column"
    )
    listing.add_argument("--json", action="store_true", help="one JSON document")
    listing.set_defaults(run=_list)
    show = actions.add_parser("show", help="the whole request, and what approving it would change")
    show.set_defaults(run=_show)
    approve = actions.add_parser("approve", help="allow it; the agent goes on at once")
    approve.add_argument("--persist", action="store_true", help="write it into the bottle's manifest too")
    approve.add_argument("--seen", metavar="SHA256", default="", help=argparse.SUPPRESS)
    approve.add_argument("--hold", action="store_true", help=argparse.SUPPRESS)
    approve.set_defaults(run=_approve)
    reject = actions.add_parser("reject", help="refuse it")
    reject.add_argument("--reason", metavar="R", default="", help="why, for the agent")
    reject.set_defaults(run=_reject)
    for action in (show, approve, reject):
        action.add_argument("id", metavar="ID", help="a proposal, or the unique beginning of its id")


def _list(context: Context, options: argparse.Namespace) -> int:
    from bottlemux.approvals.finding import all_proposals, open_proposals

    _settle(context)
    proposals = all_proposals(context.paths) if options.all else open_proposals(context.paths)
    if options.json:
        console.write_json([_record(proposal) for proposal in proposals])
        return 0
    if not proposals:
        console.remark("no agent asks for anything")
        return 0
    rows = [(*_row(one), *([one.state] if options.all else [])) for one in proposals]
    console.write_rows(rows, (*_HEADINGS, *(["state"] if options.all else [])))
    return 0


def _row(proposal: Proposal) -> tuple[str, ...]:
    from bottlemux.approvals.showing import summary

    return proposal.id, proposal.slug, proposal.kind, age(proposal.created_at), summary(proposal)


def _record(proposal: Proposal) -> dict[str, object]:
    from bottlemux.approvals.showing import summary

    return {**proposal.to_json(), "summary": summary(proposal)}


def _show(context: Context, options: argparse.Namespace) -> int:
    from bottlemux.approvals.finding import find
    from bottlemux.approvals.showing import details

    _settle(context)
    for line in details(context.paths, find(context.paths, options.id)):
        sys.stdout.write(line + "\n")
    return 0


def _approve(context: Context, options: argparse.Namespace) -> int:
    try:
        return _approve_one(context, options)
    except BottlemuxError as error:
        if not options.hold:
            raise
        selection.complain(options.id, error)
        return error.exit_code
    finally:
        if options.hold:
            sys.stdout.write("Enter closes this.")
            sys.stdout.flush()
            sys.stdin.readline()


def _approve_one(context: Context, options: argparse.Namespace) -> int:
    from bottlemux.approvals.deciding import approve
    from bottlemux.approvals.showing import request_text

    _settle(context)
    proposal = approve(
        context.paths, options.id, seen=options.seen, persist=options.persist, rebuilder=_Rebuilding(context)
    )
    note = f" ({proposal.note})" if proposal.note else ""
    verb = "has" if proposal.kind == "capability" else "may"
    sys.stdout.write(f"{proposal.id}: {proposal.slug} {verb} {request_text(proposal)}{note}\n")
    return 0


class _Rebuilding:
    """Rebuilds, once there is something to rebuild: most approvals are of routes, and an agent waits for them."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def check(self, proposal: Proposal) -> None:
        self._made().check(proposal)

    def rebuild(self, proposal: Proposal) -> str:
        return self._made().rebuild(proposal)

    def _made(self) -> Rebuilder:
        from bottlemux.lifecycle.rebuilding import Rebuilding

        return Rebuilding(self._context, lambda line: sys.stderr.write(f"{line}\n"))


def _reject(context: Context, options: argparse.Namespace) -> int:
    from bottlemux.approvals.deciding import reject

    _settle(context)
    proposal = reject(context.paths, options.id, reason=options.reason)
    sys.stdout.write(f"{proposal.id}: rejected\n")
    return 0


def _settle(context: Context) -> None:
    """Finish what was interrupted; what fails there is told and keeps nothing else from happening."""
    from bottlemux.approvals.deciding import settle
    from bottlemux.errors import BottlemuxError
    from bottlemux.text import printable

    try:
        for proposal in settle(context.paths, _Rebuilding(context)):
            sys.stderr.write(f"bottlemux: proposal {proposal.id}, approved earlier, is in force now\n")
    except BottlemuxError as error:
        sys.stderr.write(f"bottlemux: warning: {printable(error.message)}\n")
