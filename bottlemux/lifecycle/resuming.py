"""Bringing a whole workspace back: bottles at once, windows in their order, each with its agent's conversation."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bottlemux.errors import BottlemuxError
from bottlemux.lifecycle import recalling, running
from bottlemux.lifecycle.planning import plan_resume, without
from bottlemux.lifecycle.remembering import remember
from bottlemux.lifecycle.windows import window_for
from bottlemux.session.workspace import terminal_size
from bottlemux.state.ending import stopped_at
from bottlemux.state.liveness import is_alive
from bottlemux.state.store import BrokenRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backends.contract import Bottle
    from bottlemux.lifecycle.context import Context
    from bottlemux.session.models import WindowInfo, WindowSpec
    from bottlemux.state.metadata import Metadata

type Fate = Literal["running", "stopped", "lost"]

_AT_ONCE = 8


@dataclass(frozen=True)
class Outcome:
    """What became of one bottle, or would: ``text`` for a person, or the error why it cannot come back."""

    slug: str
    text: str = ""
    error: BottlemuxError | None = None


@dataclass
class _Work:
    """One bottle on its way back. ``launched`` says that this call did it, and has to undo it; ``news`` is then set."""

    record: Metadata
    bottle: Bottle | None = None
    launched: bool = False
    news: str = ""
    outcome: Outcome | None = None

    def attempt(self, act: Callable[[], object]) -> None:
        """Do ``act``; what fails is this bottle's outcome, and ends what was launched for it."""
        try:
            act()
        except (BottlemuxError, OSError) as error:
            known = error if isinstance(error, BottlemuxError) else BottlemuxError(str(error))
            self.outcome = Outcome(self.record.identity, error=known)
            if self.launched and self.bottle is not None:
                self.bottle.close()


def fate(context: Context, slug: str) -> Fate:
    """Say whether a bottle runs, was stopped by the operator, or was lost: to a crash, or with the machine."""
    files = context.paths.bottle(slug)
    if is_alive(files):
        return "running"
    return "stopped" if stopped_at(files) else "lost"


def wanted(context: Context) -> tuple[list[Metadata], list[Outcome], list[str]]:
    """Return what ``--all`` brings back, in the order of the windows, what it cannot, and what stays stopped."""
    rows = {row.identity: row for row in context.store.list()}
    records: list[Metadata] = []
    broken: list[Outcome] = []
    stopped: list[str] = []
    for slug in recalling.in_order(context.paths, list(rows)):
        row = rows[slug]
        if isinstance(row, BrokenRecord):
            broken.append(Outcome(slug, error=BottlemuxError(row.problem)))
        elif fate(context, slug) == "stopped":
            stopped.append(slug)
        else:
            records.append(row)
    return records, broken, stopped


def preview(context: Context, records: Sequence[Metadata], backend: str | None = None) -> list[Outcome]:
    """Return what :func:`resume_all` would do with ``records``. Makes nothing."""
    windows = {info.slug: info for info in context.workspace.list()}
    outcomes: list[Outcome] = []
    for record in records:
        try:
            text = _preview(context, record, windows.get(record.identity), backend)
            outcomes.append(Outcome(record.identity, text))
        except BottlemuxError as error:
            outcomes.append(Outcome(record.identity, error=error))
    return outcomes


def _preview(context: Context, record: Metadata, window: WindowInfo | None, backend: str | None) -> str:
    if fate(context, record.identity) == "lost":
        planned = plan_resume(context, record, backend)
        return f"was lost; would be started again{without(record, planned)}"
    if window is None:
        return "runs; its window would be opened"
    ended = [pane.role or "pane" for pane in window.panes if pane.dead]
    return f"runs; {', '.join(ended)} would be started again" if ended else "runs; nothing to do"


def resume_all(context: Context, records: Sequence[Metadata], backend: str | None = None) -> list[Outcome]:
    """Bring back the bottles of ``records``, several at once, then all windows in this order.

    One that cannot come back stops no other: its outcome says why, and nothing is left of the attempt.
    """
    works = [_Work(record) for record in records]
    fresh = not context.workspace.exists()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(functools.partial(_try_to_raise, context, backend), works))
    windows = {info.slug: info for info in context.workspace.list()}
    there = [work for work in works if work.outcome is None]
    for work in there:
        if window := windows.get(work.record.identity):
            work.attempt(functools.partial(_reuse, context, work, window))
    _open(context, [work for work in there if work.outcome is None])
    if fresh:
        _show_current(context)
    remember(context)
    return [work.outcome or Outcome(work.record.identity, "window opened again") for work in works]


def _try_to_raise(context: Context, backend: str | None, work: _Work) -> None:
    work.attempt(functools.partial(_raise, context, work, backend))


def _raise(context: Context, work: _Work, backend: str | None) -> None:
    work.bottle = running.running_bottle(context, work.record)
    if work.bottle is None:
        planned = plan_resume(context, work.record, backend)
        work.news = f"started again{without(work.record, planned)}"
        work.record, work.bottle = running.relaunch(context, work.record, planned)
        work.launched = True


def _reuse(context: Context, work: _Work, window: WindowInfo) -> None:
    assert work.bottle is not None  # noqa: S101 - it was raised
    done = running.revive(context, work.record, work.bottle, window, anew=work.launched)
    work.outcome = Outcome(work.record.identity, work.news or done)


def _open(context: Context, works: Sequence[_Work]) -> None:
    """Open the windows of ``works`` in one go; if that fails, one by one, so that each has its own error."""
    specs: list[WindowSpec] = []
    for work in works:
        work.attempt(functools.partial(_add_spec, context, work, specs))
    opened = [work for work in works if work.outcome is None]
    try:
        _open_windows(context, specs)
    except BottlemuxError:
        for work, spec in zip(opened, specs, strict=True):
            work.attempt(functools.partial(_open_windows, context, [spec]))
    for work in opened:
        if work.outcome is None and work.launched:
            work.outcome = Outcome(work.record.identity, work.news)


def _add_spec(context: Context, work: _Work, specs: list[WindowSpec]) -> None:
    assert work.bottle is not None  # noqa: S101 - it was raised
    specs.append(window_for(context, work.record, work.bottle))


def _open_windows(context: Context, specs: Sequence[WindowSpec]) -> None:
    context.workspace.open_windows(specs, size=terminal_size(), in_order=True)


def _show_current(context: Context) -> None:
    if (slug := recalling.current_of(context.paths)) and context.workspace.find(slug) is not None:
        context.workspace.select(slug)
