"""Giving a bottle programs that its image lacks: another image, and the bottle again in it, in the same window.

The image is built before anything of the running bottle is touched. Each step may be done again with the effect of
once, so that whoever looks next finishes what was interrupted.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from bottlemux.approvals.dockerfile import render
from bottlemux.approvals.finding import granted
from bottlemux.errors import BottlemuxError, UnavailableError, UsageError
from bottlemux.files import write_atomic
from bottlemux.lifecycle import running
from bottlemux.lifecycle.planning import missing_credentials, plan_resume
from bottlemux.lifecycle.remembering import remember
from bottlemux.state.ending import stopped_at
from bottlemux.state.liveness import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable

    from backends.contract import Bottle
    from bottlemux.lifecycle.context import Context
    from bottlemux.state.metadata import Metadata
    from sidecars.supervise.proposal import Proposal

_LATER = "in force when the bottle comes back"


class Rebuilding:
    """Carries out proposals for programs; ``say`` gets what the build prints, which may hold an agent's words."""

    def __init__(self, context: Context, say: Callable[[str], object]) -> None:
        self._context = context
        self._say = say

    def check(self, proposal: Proposal) -> None:
        """Raise a ``BottlemuxError`` for what could not be rebuilt and brought back from here. Changes nothing."""
        record = self._context.store.load(proposal.slug)
        planned = plan_resume(self._context, record)
        if not planned.backend.can_rebuild:
            raise UnavailableError(
                f"a bottle of {record.backend} has no image to which programs could be added"
            )
        if missing := missing_credentials(record, planned):
            raise UsageError(
                f"{', '.join(missing)} is not set here, and the bottle would come back without it",
                hint=f"where it is set: bottlemux approvals approve {proposal.id}",
            )

    def rebuild(self, proposal: Proposal) -> str:
        """Build, then bring the bottle back in the new image; return what the agent is to know besides.

        What cannot be built leaves the running bottle as it is. One that does not start in the new image is brought
        back in the former one.
        """
        record = self._context.store.load(proposal.slug)
        planned = plan_resume(self._context, record)
        files = self._context.paths.bottle(record.identity)
        content = render([*granted(self._context.paths, record.identity, "capability"), proposal])
        image = planned.backend.build(planned.plan, content, self._say)
        former = files.dockerfile.read_text("utf-8") if files.dockerfile.exists() else None
        write_atomic(files.dockerfile, content)
        if not is_alive(files) and stopped_at(files):
            return _LATER
        is_back = is_alive(files) and planned.backend.image_of(record.identity) == image
        if is_back and (bottle := running.running_bottle(self._context, record)) is not None:
            self._show(record, bottle, proposal, anew=False)
            return ""
        try:
            record, bottle = self._bring_back(record)
        except BottlemuxError:
            self._undo(record, former)
            raise
        self._show(record, bottle, proposal, anew=True)
        return ""

    def _bring_back(self, record: Metadata) -> tuple[Metadata, Bottle]:
        context = self._context
        self._say(f"{record.identity}: ends, and comes back in the new image")
        remember(context)
        if (bottle := running.running_bottle(context, record)) is not None:
            bottle.close()
        # Planned anew: the running bottle had things of its own in the project, which are gone with it.
        return running.relaunch(context, record, plan_resume(context, record))

    def _show(self, record: Metadata, bottle: Bottle, proposal: Proposal, *, anew: bool) -> None:
        """Show the bottle in its window; that it cannot be shown changes nothing about what it has now."""
        try:
            running.show(self._context, record, bottle, anew=anew, said=_told(proposal))
            remember(self._context)
        except BottlemuxError as error:
            self._say(
                f"{record.identity}: is back in the new image, but not in its window ({error.message}); "
                f"bottlemux resume {record.identity} opens it"
            )

    def _undo(self, record: Metadata, former: str | None) -> None:
        """Bring the bottle back in the image it had."""
        files = self._context.paths.bottle(record.identity)
        if former is None:
            files.dockerfile.unlink(missing_ok=True)
        else:
            write_atomic(files.dockerfile, former)
        with contextlib.suppress(BottlemuxError):
            running.resume(self._context, record)


def _told(proposal: Proposal) -> str:
    return (
        f"Proposal {proposal.id} is active: this bottle was rebuilt with what it asked for, and nothing else in it has "
        "changed. Go on with your task."
    )
