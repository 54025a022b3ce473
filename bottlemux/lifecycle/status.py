"""How bottles are doing, joined from what the kernel, the supervisor, the agent's program and tmux say."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError, UsageError
from bottlemux.lifecycle.judging import Asked, Observed, Verdict, judge
from bottlemux.lifecycle.observing import BottleFiles, Remembered, began_at, shows_prompt
from bottlemux.session.screens import read_screens
from bottlemux.state.ending import stopped_at
from bottlemux.state.liveness import LockProbe, may_run_elsewhere
from bottlemux.state.store import BrokenRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bottlemux.lifecycle.context import Context
    from bottlemux.lifecycle.judging import Source, State
    from bottlemux.lifecycle.usage import Usage
    from bottlemux.session.models import PaneInfo, WindowInfo
    from bottlemux.state.liveness import RuntimeStatus
    from bottlemux.state.metadata import Metadata
    from sidecars.supervise.activity import Activity
    from sidecars.supervise.proposal import Proposal

_DRAWN_AFTER_S = 1.0
_SETTLED_AFTER_S = 10.0
_CLOCK_TICK_S = 0.1


@dataclass(frozen=True)
class BottleStatus:
    """One row of ``status``. ``since`` is RFC 3339 in UTC; ``source`` says how the state is known, ``reason`` why.

    CPU and memory are ``None`` where nobody measured them; see :mod:`bottlemux.lifecycle.usage`.
    """

    slug: str
    agent: str
    backend: str
    state: State
    reason: str
    source: Source
    since: str
    blocked: int = 0
    open_proposals: int = 0
    services: Mapping[str, str] = field(default_factory=dict[str, str])
    cpu_percent: float | None = None
    memory_bytes: int | None = None

    @property
    def ended(self) -> bool:
        """Whether the agent is gone: nobody waits for what it asked for, and a decision counts once it is back."""
        return self.state == "exited"

    @property
    def waits(self) -> bool:
        """Whether the agent waits for the operator."""
        return self.state == "waiting" or (self.open_proposals > 0 and not self.ended)

    @property
    def age_s(self) -> float | None:
        """For how many seconds it has been so; ``None`` if nobody knows."""
        try:
            return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(self.since)).total_seconds())
        except ValueError:
            return None

    def to_json(self) -> dict[str, object]:
        """Return the row as JSON-ready values."""
        age = self.age_s
        return {**asdict(self), "age_s": None if age is None else round(age, 1)}


def collect(context: Context, slugs: Iterable[str] | None = None) -> list[BottleStatus]:
    """Return a row for each bottle there is a record of, or for the given ones, without CPU and memory."""
    return Collector(context).collect(slugs)


def collect_with_usage(context: Context, slugs: Iterable[str] | None = None) -> list[BottleStatus]:
    """Return the rows with CPU and memory, which takes a moment to measure."""
    from bottlemux.lifecycle.usage import measure

    collector = Collector(context)
    return with_usage(collector.collect(slugs), measure(collector.running()))


def with_usage(rows: Iterable[BottleStatus], usage: Mapping[str, Usage]) -> list[BottleStatus]:
    """Return ``rows`` with what was measured of them."""
    return [
        replace(row, cpu_percent=used.cpu_percent, memory_bytes=used.memory_bytes)
        if (used := usage.get(row.slug))
        else row
        for row in rows
    ]


def who_waits(rows: Iterable[BottleStatus], *, other_than: str = "") -> set[str]:
    """Return the bottles that wait for the operator; where there is none, those with an answer to read."""
    others = [row for row in rows if row.slug != other_than]
    waiting = {row.slug for row in others if row.waits}
    return waiting or {row.slug for row in others if row.state == "finished"}


class Collector:
    """Looks at the bottles again and again: one call of tmux each time, and only changed files are read anew."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._bottles: dict[str, _Bottle] = {}
        self._last_windows: dict[str, WindowInfo] = {}

    def collect(self, slugs: Iterable[str] | None = None) -> list[BottleStatus]:
        """Return a row for each bottle there is a record of, or for the given ones, in the order of their names."""
        store = self._context.store
        wanted = (
            store.identities() if slugs is None else sorted({store.resolve_prefix(slug) for slug in slugs})
        )
        self._bottles = {slug: self._bottles.get(slug) or _Bottle(self._context, slug) for slug in wanted}
        windows = self._windows()
        for slug, bottle in self._bottles.items():
            bottle.look(windows.get(slug))
        self._look_for_prompts()
        return [bottle.row() for bottle in self._bottles.values()]

    def _look_for_prompts(self) -> None:
        """Look at the screens of programs that say they wait in a dialog: it may be answered or gone by now."""
        asking = {pane.pane_id: bottle for bottle in self._bottles.values() if (pane := bottle.asking_pane())}
        try:
            screens = read_screens(self._context.workspace.server, list(asking)) if asking else {}
        except BottlemuxError:
            screens = {}
        for pane_id, screen in screens.items():
            asking[pane_id].at_prompt = shows_prompt(screen)

    def running(self) -> dict[str, RuntimeStatus]:
        """Return the supervisors' reports of the bottles that ran when they were last collected."""
        return {
            slug: status
            for slug, bottle in self._bottles.items()
            if bottle.alive and (status := bottle.files.status()) is not None
        }

    def watched(self) -> Iterator[str]:
        """Yield the files that change when a bottle's state does, but for what only tmux knows."""
        for bottle in self._bottles.values():
            yield from bottle.files.watched

    @property
    def windows(self) -> Mapping[str, WindowInfo]:
        """The bottles' windows as they were when last collected."""
        return self._last_windows

    def _windows(self) -> dict[str, WindowInfo]:
        try:
            found = {window.slug: window for window in self._context.workspace.list()}
        except UsageError:
            raise
        except BottlemuxError:
            found = {}
        self._last_windows = found
        return found


class _Bottle:
    """One bottle from look to look."""

    def __init__(self, context: Context, slug: str) -> None:
        self._context = context
        self.slug = slug
        self.files = BottleFiles(context.paths, slug)
        self._record = Remembered(str(self.files.files.metadata), lambda: context.store.row(slug))
        self._pane_began: tuple[int, float] = (0, 0.0)
        self._last: Verdict | None = None
        self._lock = LockProbe(self.files.files)
        self._activity: Activity | None = None
        self._open: list[Proposal] = []
        self._facts: tuple[object, ...] = ()
        self._row: BottleStatus | None = None
        self._settled = False
        self.alive = False
        self.window: WindowInfo | None = None
        self.at_prompt = False

    def look(self, window: WindowInfo | None) -> None:
        """Read what may have changed."""
        self.window, self.at_prompt = window, False
        self.alive = self._lock.is_alive()
        self._activity = self.files.activity()
        self._open = self.files.open_proposals()

    def asking_pane(self) -> PaneInfo | None:
        """Return the pane of a program that says it is in a dialog, long enough ago to have drawn it."""
        pane = self.window.pane("agent") if self.window else None
        if pane is None or pane.dead:
            return None
        activity = self._activity
        if activity is None or not activity.in_dialog or activity.at < self._began(pane.pid):
            return None
        return pane if time.time() - activity.at > _DRAWN_AFTER_S else None

    def row(self) -> BottleStatus:
        record = self._record.get(BrokenRecord(self.slug, "its record is gone"))
        if isinstance(record, BrokenRecord):
            return BottleStatus(self.slug, "", "", "broken", record.problem, "record", "")
        status, blocked = self.files.status(), self.files.blocked()
        facts = (record, status, blocked, self.window, self._activity, self.alive, self.at_prompt)
        if self._row is not None and facts == self._facts and self._is_settled():
            return self._row
        verdict = self._steady(judge(self._observe(record, status)))
        self._facts = facts
        self._row = BottleStatus(
            slug=self.slug,
            agent=record.agent,
            backend=record.backend,
            state=verdict.state,
            reason=verdict.reason,
            source=verdict.source,
            since=verdict.since,
            blocked=blocked,
            open_proposals=len(self._open),
            services=_services(status) if status and self.alive else {},
        )
        return self._row

    def _is_settled(self) -> bool:
        """Tell whether time alone changes nothing any more; it did not either when this was last so."""
        last = max(self.window.activity if self.window else 0.0, self._activity.at if self._activity else 0.0)
        settled = self._settled
        self._settled = not self._open and time.time() - last > _SETTLED_AFTER_S
        return settled and self._settled

    def _observe(self, record: Metadata, status: RuntimeStatus | None) -> Observed:
        window = self.window
        pane = window.pane("agent") if window else None
        return Observed(
            now=time.time(),
            alive=self.alive,
            recorded_at=record.started_at,
            stopped_at="" if self.alive else stopped_at(self.files.files),
            launched_at=status.started_at if status else "",
            problem=status.problem if status else "",
            unheld=not self.alive and may_run_elsewhere(self.files.files),
            restarting=tuple(_restarting(status)) if status else (),
            has_pane=pane is not None,
            pane_ended=pane.ended if pane and pane.dead else None,
            pane_began=self._began(pane.pid) if pane else 0.0,
            output_at=self._output_at(window, pane),
            asked=self._asked() if self.alive and self._open else None,
            activity=self._activity,
            at_prompt=self.at_prompt,
        )

    def _output_at(self, window: WindowInfo | None, pane: PaneInfo | None) -> float:
        """Return when the agent's pane had output. tmux knows it of windows only, and takes a look for output."""
        if window is None or pane is None:
            return 0.0
        if pane.dead and pane.dead_at:
            return float(pane.dead_at)
        marked = self.files.output_at()
        return marked if marked >= self._began(pane.pid) - _CLOCK_TICK_S else float(window.activity)

    def _began(self, pid: int) -> float:
        if self._pane_began[0] != pid:
            self._pane_began = (pid, began_at(pid))
        return self._pane_began[1]

    def _asked(self) -> Asked | None:
        proposal = next((each for each in self._open if self.files.is_awaited(each)), None)
        if proposal is None:
            return None
        from bottlemux.approvals.showing import request_text

        return Asked(f"{request_text(proposal)} ({proposal.id})", proposal.created_at)

    def _steady(self, verdict: Verdict) -> Verdict:
        """Return ``verdict`` with the time since when it has been seen, where only output tells."""
        last = self._last
        if last is not None and verdict.source == "output" and verdict[:3] == last[:3]:
            verdict = verdict._replace(since=last.since)
        self._last = verdict
        return verdict


def _restarting(status: RuntimeStatus) -> list[str]:
    return [name for name, service in status.services.items() if service.state != "running"]


def _services(status: RuntimeStatus) -> dict[str, str]:
    return {
        name: f"{item.state}, restarted {item.restarts} times" if item.restarts else item.state
        for name, item in status.services.items()
    }
