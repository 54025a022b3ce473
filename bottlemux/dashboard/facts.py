"""What the dashboard knows, looked at again and again beside the screen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from bottlemux.dashboard.board import Row
from bottlemux.errors import BottlemuxError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.lifecycle.context import Context
    from bottlemux.lifecycle.status import BottleStatus
    from bottlemux.screens.background import Background
    from sidecars.supervise.proposal import Proposal

EVERY_S = 1.0
_PATIENCE_S = 3.0


class Facts(NamedTuple):
    """All bottles, and what went wrong while looking."""

    rows: tuple[Row, ...] = ()
    trouble: str = ""


class Watch:
    """Looks once a second in a thread, never twice at once, and reports what it found in the screen's thread."""

    def __init__(self, context: Context, background: Background, report: Callable[[Facts], None]) -> None:
        from bottlemux.lifecycle.status import Collector
        from bottlemux.lifecycle.usage import Sampler

        self.sampler = Sampler()
        self.collector = Collector(context)
        self._context, self._background, self._report = context, background, report
        self._looking_since: float | None = None

    @property
    def trouble(self) -> str:
        """Why what is shown may be old; empty if it is not."""
        since = self._looking_since
        waited = 0.0 if since is None else time.monotonic() - since
        return f"no answer for {waited:.0f} s" if waited > _PATIENCE_S else ""

    def begin(self) -> None:
        """Look now, and from then on every second."""
        self.look()
        self._background.later(EVERY_S, self.begin)

    def look(self) -> None:
        """Look now, unless that is under way."""
        if self._looking_since is None:
            self._looking_since = time.monotonic()
            self._background.run(self._read, self._got)

    def _got(self, facts: Facts) -> None:
        self._looking_since = None
        self._report(facts)

    def _read(self) -> Facts:
        from bottlemux.lifecycle.status import with_usage

        try:
            statuses = self.collector.collect()
            usage = self.sampler.sample(self.collector.running())
            return Facts(tuple(Row(row, self._asks(row)) for row in with_usage(statuses, usage)))
        except (BottlemuxError, OSError) as error:
            return Facts(trouble=str(error))

    def _asks(self, row: BottleStatus) -> tuple[Proposal, ...]:
        from bottlemux.approvals.finding import open_proposals

        if not row.open_proposals:
            return ()
        proposals = open_proposals(self._context.paths, row.slug)
        return tuple(proposal for proposal in proposals if proposal.state == "pending")
