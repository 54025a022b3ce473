"""Layouts of a whole session: the bottles they name are started or brought back, and all windows arranged.

A layout of the working directory may have been written by an agent. It reaches only bottles of that directory, and
its caller must have the operator's yes to what :func:`plan_session` returns, whatever was said beforehand.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError, NotFoundError, UsageError
from bottlemux.lifecycle import arranging, running
from bottlemux.lifecycle.planning import StartRequest, plan_resume, plan_start
from bottlemux.lifecycle.windows import window_for
from bottlemux.session.building import SESSION
from bottlemux.session.layout import UNNAMED
from bottlemux.session.rearranging import swaps
from bottlemux.session.workspace import terminal_size
from bottlemux.state.metadata import Metadata
from bottlemux.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Future

    from backends.contract import Bottle
    from bottlemux.lifecycle.context import Context
    from bottlemux.lifecycle.planning import Planned
    from bottlemux.session.layout import WindowLayout
    from bottlemux.session.layout_files import LayoutFile
    from bottlemux.session.models import WindowInfo

_PARALLEL = 4


@dataclass(frozen=True)
class Part:
    """One window of a layout, the ``number``-th, with the bottle it is for.

    ``slug`` is of one that has a window. Otherwise ``planned`` is what starts it, or, with ``record``, brings it
    back; or ``problem`` says why neither can be.
    """

    number: int
    window: WindowLayout
    slug: str | None = None
    planned: Planned | None = None
    record: Metadata | None = None
    problem: BottlemuxError | None = None

    @property
    def name(self) -> str:
        """What people call it: the window, by number and name, and whose it is; safe for a terminal."""
        window = f"window {self.number}"
        if self.window.window_name != UNNAMED:
            window += f' "{printable(self.window.window_name)}"'
        whose = (self.record.identity if self.record else self.slug) or self.window.agent
        return f"{window}, {whose}" if whose else window


@dataclass(frozen=True)
class SessionPlan:
    """What giving the session a layout will do. ``untrusted`` says that the working directory brought the file."""

    file: LayoutFile
    parts: tuple[Part, ...]

    @property
    def untrusted(self) -> bool:
        """Whether the operator has to agree to it as shown, because nobody of theirs wrote it."""
        return self.file.origin == "project"

    @property
    def starting(self) -> tuple[Part, ...]:
        """The parts whose bottles have to be launched."""
        return tuple(part for part in self.parts if part.planned is not None)

    @property
    def question(self) -> str:
        """What the operator is to be asked; empty when nothing has to be launched."""
        count = len(self.starting)
        return {0: "", 1: "Start it?"}.get(count, f"Start these {count}?")

    def text(self) -> str:
        """Return the preflights of all that will be launched."""
        lines: list[str] = []
        for part in self.starting:
            lines.append(f"==== {part.name}: {'brought back' if part.record else 'new'}\n")
            if part.planned is not None:
                part.planned.print(lines.append)
        return "".join(lines)

    @property
    def failed(self) -> tuple[tuple[Part, BottlemuxError], ...]:
        """The parts that cannot be had, and why."""
        return tuple((part, part.problem) for part in self.parts if part.problem is not None)


def plan_session(context: Context, file: LayoutFile) -> SessionPlan:
    """Match the windows of a layout with running bottles, and plan the start of the others. Makes nothing."""
    records = {record.identity: record for record in context.store.list() if isinstance(record, Metadata)}
    windows = dict(enumerate(file.load().windows, start=1))
    matched = _matched(context, file, windows, records)
    parts = [
        _running(number, window, records[matched[number]])
        if number in matched
        else _planned(context, file, number, window, records.get(window.slug or ""))
        for number, window in windows.items()
    ]
    return SessionPlan(file, tuple(parts))


def _running(number: int, window: WindowLayout, record: Metadata) -> Part:
    if problem := _mismatch(window, record.bottle, record.workspace):
        return Part(number, window, record=record, problem=problem)
    return Part(number, window, slug=record.identity)


def carry_out(
    context: Context,
    plan: SessionPlan,
    report: Callable[[Part, str | BottlemuxError], None],
    *,
    close: bool = False,
) -> list[str]:
    """Launch what is planned, several at once, and arrange all windows; return the slugs in the layout's order.

    A part that fails is told to ``report`` and stops no other. ``close`` ends panes that have no place.
    """
    slugs = {part.number: part.slug for part in plan.parts if part.slug is not None}
    slugs |= {part.number: slug for part, slug in _launched(context, plan, report)}
    windows = {info.slug: info for info in context.workspace.list()}
    for part in plan.parts:
        if part.slug in windows:
            try:
                arranging.arrange(context, part.window, windows[part.slug], close=close)
            except BottlemuxError as error:
                report(part, error)
    present = [(part, slugs[part.number]) for part in plan.parts if part.number in slugs]
    _finish(context, [(part.window, windows[slug]) for part, slug in present if slug in windows])
    return [slug for _, slug in present]


def _matched(
    context: Context, file: LayoutFile, windows: Mapping[int, WindowLayout], records: Mapping[str, Metadata]
) -> dict[int, str]:
    """Return the slug for each window number that a running bottle is there for: the named ones choose first."""
    left = [records[info.slug] for info in context.workspace.list() if info.slug in records]
    if file.origin == "project":
        left = [record for record in left if Path(record.cwd) == context.cwd.resolve()]

    def is_the_one(window: WindowLayout, record: Metadata) -> bool:
        return window.slug == record.identity

    def is_of_the_kind(window: WindowLayout, record: Metadata) -> bool:
        return (
            window.slug not in records
            and window.agent == record.agent
            and _mismatch(window, record.bottle, record.workspace) is None
            and (window.start_directory is None or _directory(context, window) == Path(record.cwd))
        )

    def is_any(window: WindowLayout, record: Metadata) -> bool:
        if window.agent is not None or window.slug is not None:
            return False
        return _mismatch(window, record.bottle, record.workspace) is None

    matched: dict[int, str] = {}
    for fits in (is_the_one, is_of_the_kind, is_any):
        for number, window in windows.items():
            record = next((record for record in left if fits(window, record)), None)
            if number not in matched and record is not None:
                matched[number] = record.identity
                left.remove(record)
    return matched


def _directory(context: Context, window: WindowLayout) -> Path:
    return (context.cwd / Path(window.start_directory or ".").expanduser()).resolve()


def _planned(
    context: Context, file: LayoutFile, number: int, window: WindowLayout, record: Metadata | None
) -> Part:
    reference = f"{file.name}:{number}"
    try:
        directory = Path(record.cwd) if record else _directory(context, window)
        file.check_reach(directory)
        if record is not None:
            planned = replace(plan_resume(context, record), layout=reference)
        elif window.agent is not None:
            planned = plan_start(context, _request(window, directory, reference))
        else:
            raise NotFoundError("no bottle is left for it", hint=f"name its agent in {file.path}")
        if problem := _mismatch(window, planned.spec.resolved.bottle.name, planned.spec.workspace):
            raise problem
        return Part(number, window, planned=planned, record=record)
    except BottlemuxError as error:
        return Part(number, window, record=record, problem=error)


def _request(window: WindowLayout, directory: Path, reference: str) -> StartRequest:
    return StartRequest(
        agent=window.agent or "",
        cwd=directory,
        workspace=window.workspace,
        layout=reference,
        arguments=window.args,
    )


def _mismatch(window: WindowLayout, bottle: str, workspace: str) -> UsageError | None:
    """Return why what has this ``bottle`` and ``workspace`` is not what ``window`` is for."""
    other = "leave its slug out to have another one" if window.slug else "in the agent's manifest"
    for key, wanted, has in (("bottle", window.bottle, bottle), ("workspace", window.workspace, workspace)):
        if wanted not in {None, has}:
            return UsageError(
                f"it has {key} {has!r}, the layout wants {wanted!r}",
                hint=f"change {key!r} in the layout, or {other}",
            )
    return None


def _launched(
    context: Context, plan: SessionPlan, report: Callable[[Part, str | BottlemuxError], None]
) -> Iterator[tuple[Part, str]]:
    """Launch all at once, and open the windows in the layout's order as their bottles are there."""
    if not plan.starting:
        return
    with ThreadPoolExecutor(min(_PARALLEL, len(plan.starting))) as pool:
        launching = [(part, pool.submit(_launch, context, part)) for part in plan.starting]
        try:
            while launching:
                part, future = launching[0]
                try:
                    # An interruption while waiting finds the bottle in the list, and takes it back.
                    record, bottle = future.result()
                    launching.pop(0)
                    _open(context, part, record, bottle)
                    report(part, record.identity)
                    yield part, record.identity
                except BottlemuxError as error:
                    report(part, error)
                    launching = [item for item in launching if item[0] is not part]
        except BaseException:
            _take_back(context, launching)
            raise


def _launch(context: Context, part: Part) -> tuple[Metadata, Bottle]:
    assert part.planned is not None  # noqa: S101 - the type does not say it
    if part.record is not None:
        return running.relaunch(context, part.record, part.planned)
    return running.launch(context, part.planned)


def _open(context: Context, part: Part, record: Metadata, bottle: Bottle) -> None:
    try:
        context.workspace.open_windows(
            [window_for(context, record, bottle, part.window)], size=terminal_size()
        )
    except BaseException:
        _end(context, part, record, bottle)
        raise


def _end(context: Context, part: Part, record: Metadata, bottle: Bottle) -> None:
    if part.record is None:
        running.undo(context, record, bottle)
    else:
        bottle.close()


def _take_back(context: Context, launching: list[tuple[Part, Future[tuple[Metadata, Bottle]]]]) -> None:
    """After an interruption, end the bottles that have no window yet; those that have one stay."""
    for part, future in launching:
        if not future.cancel() and future.exception() is None:
            _end(context, part, *future.result())


def _finish(context: Context, arranged: list[tuple[WindowLayout, WindowInfo]]) -> None:
    """Name the windows, bring them into the layout's order, and show the one that has the focus."""
    server = context.workspace.server
    commands = [command for window, info in arranged for command in arranging.rename(context, window, info)]
    present = [info.window_id for info in context.workspace.list() if info.session == SESSION]
    wanted = [info.window_id for _, info in arranged if info.window_id in present]
    commands += swaps("swap-window", present, list(dict.fromkeys(wanted)))
    focused = [info.window_id for window, info in arranged if window.focus]
    shown = focused or server.batch([["display-message", "-p", "-t", f"={SESSION}:", "#{window_id}"]])
    server.batch([*commands, ["select-window", "-t", shown[0]]])
