"""What the dashboard knows, looked at again and again beside the screen."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from bottlemux.approvals.finding import open_proposals
from bottlemux.dashboard.board import Row
from bottlemux.lifecycle.status import with_usage
from bottlemux.lifecycle.usage import Sampler
from bottlemux.lifecycle.watching import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bottlemux.lifecycle.context import Context
    from bottlemux.lifecycle.status import BottleStatus
    from bottlemux.screens.background import Background
    from sidecars.supervise.proposal import Proposal

type Rows = list[Row]

_PATIENCE_S = 4.0


class Watch:
    """Looks once a second, and at once when something changed, in a thread; reports in the screen's thread.

    With ``publishing`` it also keeps the names of the bottles' windows true, which one process of a workspace does.
    """

    def __init__(
        self,
        context: Context,
        background: Background,
        report: Callable[[Rows], None],
        *,
        publishing: bool,
    ) -> None:
        self.sampler = Sampler()
        self._watcher = Watcher(context, publishing=publishing)
        self._context, self._background, self._report = context, background, report
        self._stop = threading.Event()
        self._looked = time.monotonic()

    @property
    def trouble(self) -> str:
        """Why what is shown may be old; empty if it is not."""
        waited = time.monotonic() - self._looked
        return f"no news for {waited:.0f} s: tmux or the disk does not answer" if waited > _PATIENCE_S else ""

    def begin(self) -> None:
        """Look from now on."""
        self._background.run(lambda: self._watcher.watch(self._stop, self._told), lambda _: None)

    def end(self) -> None:
        """Look no more."""
        self._stop.set()

    def _told(self, statuses: Sequence[BottleStatus]) -> None:
        collector = self._watcher.collector
        measured = with_usage(statuses, self.sampler.sample(collector.running()))
        output = {slug: window.activity for slug, window in collector.windows.items()}
        rows = [Row(row, self._asks(row), output.get(row.slug, 0)) for row in measured]
        self._background.call(self._got, rows)

    def _got(self, rows: Rows) -> None:
        self._looked = time.monotonic()
        self._report(rows)

    def _asks(self, row: BottleStatus) -> tuple[Proposal, ...]:
        if not row.open_proposals:
            return ()
        proposals = open_proposals(self._context.paths, row.slug)
        return tuple(proposal for proposal in proposals if proposal.state == "pending")
