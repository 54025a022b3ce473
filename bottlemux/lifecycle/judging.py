"""The state of a bottle, as a pure function of what was observed: from the strongest evidence to the weakest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from sidecars.supervise.activity import Activity

type State = Literal["starting", "working", "waiting", "idle", "finished", "exited", "broken"]
type Source = Literal["record", "supervisor", "window", "approvals", "program", "output"]

QUIET_AFTER_S = 4.0
"""Without output for so long, nothing is being worked on: tmux knows the second of the last output, not more."""
_STARTING_S = 2.0


class Asked(NamedTuple):
    """The open proposal for which the agent stands still, as text, and since when (RFC 3339)."""

    text: str
    since: str


@dataclass(frozen=True, slots=True)
class Observed:
    """What can be seen of one bottle at the moment ``now``. Times are seconds since the epoch, but for texts.

    ``stopped_at`` is when the operator stopped it, empty for a bottle that was lost.
    ``launched_at`` is the supervisor's start, empty before it reported; ``problem`` says why its report may be out of
    date, ``unheld`` that it may run on another machine while nothing here holds it; ``restarting`` are sidecars that
    do not run. ``pane_ended`` says how the agent's program ended, ``None`` while it runs. ``activity`` is what the
    program reported, ``at_prompt`` that its screen has the line one types in, and so no dialog.
    """

    now: float
    alive: bool
    recorded_at: str
    stopped_at: str = ""
    launched_at: str = ""
    problem: str = ""
    unheld: bool = False
    restarting: tuple[str, ...] = ()
    has_pane: bool = False
    pane_ended: str | None = None
    pane_began: float = 0.0
    output_at: float = 0.0
    asked: Asked | None = None
    activity: Activity | None = None
    at_prompt: bool = False


class Verdict(NamedTuple):
    """The state, why, what says so, and since when (RFC 3339 in UTC)."""

    state: State
    reason: str
    source: Source
    since: str


def judge(seen: Observed) -> Verdict:
    """Return the state of a bottle."""
    return _of_bottle(seen) or _of_window(seen) or _of_program(seen) or _of_output(seen)


def _of_bottle(seen: Observed) -> Verdict | None:
    if not seen.alive and seen.unheld:
        reason = "its link to the engine is gone: bottlemux resume links it again"
        return Verdict("broken", reason, "supervisor", seen.recorded_at)
    if not seen.alive:
        if seen.stopped_at:
            return Verdict("exited", "stopped", "record", seen.stopped_at)
        if seen.launched_at:
            reason = "its supervisor was killed: bottlemux resume brings it back"
            return Verdict("broken", reason, "supervisor", seen.recorded_at)
        return Verdict("exited", "lost: bottlemux resume brings it back", "record", seen.recorded_at)
    if not seen.launched_at:
        return Verdict("starting", "being launched", "supervisor", seen.recorded_at)
    if seen.problem:
        return Verdict("broken", seen.problem, "supervisor", seen.launched_at)
    if seen.restarting:
        reason = f"{', '.join(seen.restarting)} is being restarted"
        return Verdict("broken", reason, "supervisor", seen.launched_at)
    return None


def _of_window(seen: Observed) -> Verdict | None:
    if not seen.has_pane:
        reason = "its window is gone: bottlemux resume opens it"
        return Verdict("broken", reason, "window", seen.launched_at)
    if seen.pane_ended is not None:
        reason = f"the program ended ({seen.pane_ended}): bottlemux resume starts it again"
        return Verdict("exited", reason, "window", as_text(seen.output_at))
    if seen.asked is not None:
        return Verdict("waiting", f"asks for {seen.asked.text}", "approvals", seen.asked.since)
    return None


def _of_program(seen: Observed) -> Verdict | None:
    """Return what the program reported, unless what can be seen of it since says otherwise."""
    activity = seen.activity
    if activity is None or activity.at < seen.pane_began:
        return None
    silent_since = max(activity.at, seen.output_at)
    quiet = seen.now - silent_since >= QUIET_AFTER_S
    # Neither an answer to a dialog nor an interruption is reported. What works draws, unless nobody is there to see.
    if activity.in_dialog and seen.at_prompt and not quiet:
        return Verdict("working", "works on its task", "output", as_text(silent_since))
    if activity.in_dialog and seen.at_prompt:
        return Verdict("idle", "at its prompt; the question was dismissed", "output", as_text(silent_since))
    if activity.state == "working" and quiet and activity.attended:
        return Verdict("idle", "at its prompt; interrupted", "output", as_text(silent_since))
    return Verdict(activity.state, activity.reason, "program", as_text(activity.since))


def _of_output(seen: Observed) -> Verdict:
    quiet = seen.now - seen.output_at
    if quiet >= QUIET_AFTER_S:
        return Verdict("idle", "no output", "output", as_text(seen.output_at))
    if seen.now - seen.pane_began < _STARTING_S:
        return Verdict("starting", "its program begins", "output", as_text(seen.pane_began))
    return Verdict("working", "its window shows output", "output", as_text(seen.output_at))


def as_text(seconds: float) -> str:
    """Return a time as every record writes it."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
