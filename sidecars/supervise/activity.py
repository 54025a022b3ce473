"""What an agent does, folded from the events its program reports. Pure, and plain values only.

The agent can forge every event. What comes of one is therefore a state of a fixed list, a reason made of fixed text and
of one word with harmless characters, and a time of ours.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SCHEMA_VERSION = 1
MAX_PENDING = 16

type ActivityState = Literal["working", "waiting", "idle", "finished"]

STATES: tuple[str, ...] = get_args(ActivityState.__value__)
EVENTS = frozenset({
    "SessionStart", "SessionEnd", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure",
    "PermissionRequest", "PermissionDenied", "Notification", "Stop", "StopFailure", "SubagentStart", "SubagentStop",
    "PreCompact", "PostCompact", "Elicitation", "ElicitationResult",
})  # fmt: skip
"""What is taken at all: the names of Claude Code's hooks, which reporters of other programs may use as well."""

_KEYS = frozenset({"event", "session", "agent", "tool", "detail", "pid", "attended"})
_MAX_PID = 1 << 22
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_QUESTIONS = {"AskUserQuestion": "asks a question", "ExitPlanMode": "wants its plan approved"}
_TOOL_ENDS = frozenset({"PostToolUse", "PostToolUseFailure", "PermissionDenied"})


class BadEvent(ValueError):  # noqa: N818 - the answer to a report, not a failure
    """The report is none; the text says why, to whoever reported."""


@dataclass(frozen=True, slots=True)
class Event:
    """One report. ``agent`` is a subagent's id, empty for the main one; ``detail`` is the event's own sort.

    ``pid`` is the program's process id as the bottle sees it, 0 if it did not say; ``attended`` that a person is at
    its terminal: it then draws while it works.
    """

    name: str
    session: str = ""
    agent: str = ""
    tool: str = ""
    detail: str = ""
    pid: int = 0
    attended: bool = True


@dataclass(frozen=True, slots=True)
class Activity:
    """What the agent does, ``since`` when, and ``at`` when it was last heard of: seconds since the epoch.

    ``pending`` are the permissions it waits for, as agent and tool: several subagents may ask at once.
    """

    state: ActivityState
    reason: str
    since: float
    at: float
    event: str = ""
    session: str = ""
    pending: tuple[tuple[str, str], ...] = ()
    pid: int = 0
    attended: bool = True

    @property
    def in_dialog(self) -> bool:
        """Whether it waits in a dialog on its screen, rather than at its prompt."""
        return self.state == "waiting" and self.event != "StopFailure"

    def to_json(self) -> dict[str, object]:
        """Return the content of its file; :func:`parse_activity` is the inverse."""
        return {
            "schema_version": SCHEMA_VERSION, "state": self.state, "reason": self.reason, "since": self.since,
            "at": self.at, "event": self.event, "session": self.session,
            "pending": [list(pair) for pair in self.pending], "pid": self.pid, "attended": self.attended,
        }  # fmt: skip


def parse_event(data: bytes) -> Event:
    """Return the report in ``data``; raises :class:`BadEvent` for all but a small object of known words."""
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        raise BadEvent("this is not JSON") from None
    if not isinstance(value, dict):
        raise BadEvent("a report is one JSON object")
    record = cast("dict[str, object]", value)
    if unknown := record.keys() - _KEYS:
        raise BadEvent(f"unknown key {min(unknown)[:64]!r}")
    words = {name: _word(name, record.get(name, "")) for name in ("session", "agent", "tool", "detail")}
    event = record.get("event")
    if not isinstance(event, str) or event not in EVENTS:
        raise BadEvent("unknown event")
    pid, attended = record.get("pid", 0), record.get("attended", True)
    if not isinstance(pid, int) or isinstance(pid, bool) or not 0 <= pid <= _MAX_PID:
        raise BadEvent("pid is a process id")
    if not isinstance(attended, bool):
        raise BadEvent("attended is true or false")
    return Event(event, **words, pid=pid, attended=attended)


def _word(name: str, value: object) -> str:
    if isinstance(value, str) and (not value or _WORD.fullmatch(value)):
        return value
    raise BadEvent(f"{name} is a word of at most 64 letters, digits and _ . : -")


def after(activity: Activity | None, event: Event, at: float) -> Activity:
    """Return what the agent does once ``event`` happened, at the time ``at``."""
    before = activity or Activity("idle", "", at, at)
    pending = _pending(before.pending, event)
    state, reason = _next(before, event, pending)
    return Activity(
        state=state,
        reason=reason,
        since=before.since if activity and (state, pending) == (before.state, before.pending) else at,
        at=at,
        event=event.name,
        session=event.session or before.session,
        pending=pending,
        pid=event.pid or before.pid,
        attended=event.attended,
    )


def _pending(pending: tuple[tuple[str, str], ...], event: Event) -> tuple[tuple[str, str], ...]:
    asked = (event.agent, event.tool)
    if event.name == "PermissionRequest":
        return pending if asked in pending else (*pending, asked)[-MAX_PENDING:]
    if event.name in _TOOL_ENDS:
        return tuple(pair for pair in pending if pair != asked)
    if event.name == "SubagentStop":
        return tuple(pair for pair in pending if pair[0] != event.agent)
    if event.name == "PreToolUse" or (event.name == "Notification" and event.detail != "idle_prompt"):
        return pending
    if event.agent or event.name in {"SubagentStart", "PreCompact", "PostCompact"}:
        return pending
    return ()


def _next(before: Activity, event: Event, pending: tuple[tuple[str, str], ...]) -> tuple[ActivityState, str]:
    if pending:
        return "waiting", _permission(pending[0][1])
    if event.agent and before.state in {"idle", "finished"}:
        return before.state, before.reason  # a subagent in the background
    if event.name in _JUDGES:
        return _JUDGES[event.name](before, event)
    return _FIXED.get(event.name, ("working", "works on its task"))


def _begun(before: Activity, event: Event) -> tuple[ActivityState, str]:
    if event.detail == "compact":
        return before.state, before.reason
    return "idle", "at its prompt"


def _notified(before: Activity, event: Event) -> tuple[ActivityState, str]:
    if event.detail == "elicitation_dialog":
        return "waiting", "asks for input"
    if event.detail == "permission_prompt" and before.state == "working":
        return "waiting", "asks for permission"
    if event.detail == "idle_prompt" and before.state != "finished":
        return "idle", "at its prompt"
    return before.state, before.reason


def _uses(_before: Activity, event: Event) -> tuple[ActivityState, str]:
    if event.tool in _QUESTIONS:
        return "waiting", _QUESTIONS[event.tool]
    return "working", f"uses {event.tool}" if event.tool else "uses a tool"


def _stopped(_before: Activity, event: Event) -> tuple[ActivityState, str]:
    return "finished", "its turn ended; background tasks run on" if event.detail else "its turn ended"


def _failed(_before: Activity, event: Event) -> tuple[ActivityState, str]:
    return "waiting", f"its turn failed ({event.detail})" if event.detail else "its turn failed"


def _compacted(_before: Activity, event: Event) -> tuple[ActivityState, str]:
    return ("idle", "at its prompt") if event.detail == "manual" else ("working", "works on its task")


_JUDGES: Mapping[str, Callable[[Activity, Event], tuple[ActivityState, str]]] = {
    "SessionStart": _begun,
    "Notification": _notified,
    "PreToolUse": _uses,
    "Stop": _stopped,
    "StopFailure": _failed,
    "PostCompact": _compacted,
}
_FIXED: Mapping[str, tuple[ActivityState, str]] = {
    "SessionEnd": ("idle", "its session ended"),
    "Elicitation": ("waiting", "asks for input"),
    "PreCompact": ("working", "compacts its conversation"),
}


def _permission(tool: str) -> str:
    return _QUESTIONS.get(tool) or (f"asks for permission to use {tool}" if tool else "asks for permission")


def parse_activity(data: bytes) -> Activity | None:
    """Return what the file holds; ``None`` for what is no activity of this version."""
    try:
        record = cast("dict[str, object]", json.loads(data))
        if record["schema_version"] != SCHEMA_VERSION or record["state"] not in STATES:
            return None
        texts = [record[name] for name in ("reason", "event", "session")]
        pairs = [cast("tuple[str, str]", tuple(pair)) for pair in cast("list[list[str]]", record["pending"])]
        times = [float(cast("float", record[name])) for name in ("since", "at")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not all(isinstance(text, str) and len(text) <= 200 and text.isprintable() for text in texts):
        return None
    reason, event, session = cast("list[str]", texts)
    pid = record.get("pid")
    return Activity(
        state=cast("ActivityState", record["state"]),
        reason=reason,
        since=times[0],
        at=times[1],
        event=event,
        session=session,
        pending=tuple(pairs),
        pid=pid if isinstance(pid, int) else 0,
        attended=record.get("attended") is not False,
    )
