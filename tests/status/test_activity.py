"""The fold of a program's reports: a table of streams, and what is no report at all."""

from __future__ import annotations

import json

import pytest

from sidecars.supervise.activity import BadEvent, Event, after, parse_activity, parse_event

E = Event
STREAMS: dict[str, tuple[list[Event], str, str]] = {
    "begun": ([E("SessionStart", detail="startup")], "idle", "at its prompt"),
    "prompted": ([E("SessionStart"), E("UserPromptSubmit")], "working", "works on its task"),
    "uses a tool": ([E("UserPromptSubmit"), E("PreToolUse", tool="Bash")], "working", "uses Bash"),
    "used a tool": ([E("PreToolUse", tool="Bash"), E("PostToolUse", tool="Bash")], "working", "works on its task"),
    "answered": ([E("UserPromptSubmit"), E("Stop")], "finished", "its turn ended"),
    "a notice that it idles changes nothing": ([E("Stop"), E("Notification", detail="idle_prompt")], "finished",
                                               "its turn ended"),
    "interrupted, and noticed": ([E("PreToolUse", tool="Bash"), E("Notification", detail="idle_prompt")], "idle",
                                 "at its prompt"),
    "asks for permission": ([E("PreToolUse", tool="Bash"), E("PermissionRequest", tool="Bash")], "waiting",
                            "asks for permission to use Bash"),
    "reminds of the permission": ([E("PermissionRequest", tool="Bash"), E("Notification", detail="permission_prompt")],
                                  "waiting", "asks for permission to use Bash"),
    "permitted": ([E("PermissionRequest", tool="Bash"), E("PostToolUse", tool="Bash")], "working",
                  "works on its task"),
    "refused, turn over": ([E("PermissionRequest", tool="Bash"), E("Stop")], "finished", "its turn ended"),
    "dialog dismissed, next prompt": ([E("PermissionRequest", tool="Bash"), E("UserPromptSubmit")], "working",
                                      "works on its task"),
    "dialog dismissed, noticed": ([E("PermissionRequest", tool="Bash"), E("Notification", detail="idle_prompt")],
                                  "idle", "at its prompt"),
    "another tool ends meanwhile": ([E("PermissionRequest", tool="Bash"), E("PostToolUse", tool="Read")], "waiting",
                                    "asks for permission to use Bash"),
    "another agent works meanwhile": ([E("PermissionRequest", tool="Bash", agent="a1"),
                                       E("PostToolUse", tool="Bash", agent="a2"), E("PreToolUse", tool="Grep")],
                                      "waiting", "asks for permission to use Bash"),
    "two ask, one is answered": ([E("PermissionRequest", tool="Bash", agent="a1"), E("PermissionRequest", tool="Edit"),
                                  E("PostToolUse", tool="Bash", agent="a1")], "waiting",
                                 "asks for permission to use Edit"),
    "the asking agent stops": ([E("PermissionRequest", tool="Bash", agent="a1"), E("SubagentStop", agent="a1")],
                               "working", "works on its task"),
    "asks a question": ([E("PreToolUse", tool="AskUserQuestion"), E("PermissionRequest", tool="AskUserQuestion")],
                        "waiting", "asks a question"),
    "asks a question, permissions skipped": ([E("PreToolUse", tool="AskUserQuestion")], "waiting", "asks a question"),
    "wants a plan approved": ([E("PreToolUse", tool="ExitPlanMode")], "waiting", "wants its plan approved"),
    "question answered": ([E("PermissionRequest", tool="AskUserQuestion"), E("PostToolUse", tool="AskUserQuestion")],
                          "working", "works on its task"),
    "subagent in the background": ([E("Stop"), E("PreToolUse", agent="a1", tool="Bash"), E("SubagentStop", agent="a1")],
                                   "finished", "its turn ended"),
    "background agent asks": ([E("Stop"), E("PermissionRequest", agent="a1", tool="Bash")], "waiting",
                              "asks for permission to use Bash"),
    "compacted by itself": ([E("UserPromptSubmit"), E("PreCompact", detail="auto"), E("PostCompact", detail="auto"),
                             E("SessionStart", detail="compact")], "working", "works on its task"),
    "compacted by hand": ([E("Stop"), E("PreCompact", detail="manual"), E("SessionStart", detail="compact"),
                           E("PostCompact", detail="manual")], "idle", "at its prompt"),
    "cleared": ([E("Stop"), E("SessionEnd", detail="clear"), E("SessionStart", detail="clear")], "idle",
                "at its prompt"),
    "ended": ([E("Stop"), E("SessionEnd", detail="prompt_input_exit")], "idle", "its session ended"),
    "failed": ([E("UserPromptSubmit"), E("StopFailure", detail="rate_limit")], "waiting",
               "its turn failed (rate_limit)"),
    "dialog of a server": ([E("PreToolUse", tool="mcp__x__y"), E("Elicitation")], "waiting", "asks for input"),
    "dialog answered": ([E("Elicitation"), E("ElicitationResult")], "working", "works on its task"),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_of_events_ends_in_the_state_a_person_would_say(name: str) -> None:
    events, state, reason = STREAMS[name]
    activity = None
    for at, event in enumerate(events):
        activity = after(activity, event, float(at))
    assert activity is not None
    assert (activity.state, activity.reason) == (state, reason)
    assert activity.at == len(events) - 1
    assert parse_activity(json.dumps(activity.to_json()).encode()) == activity


def test_the_time_is_that_of_the_change() -> None:
    first = after(None, E("UserPromptSubmit"), 10.0)
    same = after(first, E("PreToolUse", tool="Bash"), 20.0)
    done = after(same, E("Stop"), 30.0)
    assert (same.since, same.at, done.since) == (10.0, 20.0, 30.0)


def test_pending_permissions_are_bounded() -> None:
    activity = None
    for number in range(500):
        activity = after(activity, E("PermissionRequest", tool=f"T{number}"), 0.0)
    assert activity is not None
    assert len(activity.pending) <= 16


BAD = {
    "no JSON": b"\xff{",
    "deep": b"[" * 100_000,
    "a list": b"[]",
    "no event": b"{}",
    "unknown event": b'{"event": "Rm"}',
    "event of another type": b'{"event": ["Stop"]}',
    "unknown key": b'{"event": "Stop", "slug": "other-00000"}',
    "escape in a tool": b'{"event": "PreToolUse", "tool": "\\u001b[31m"}',
    "format of tmux in a tool": b'{"event": "PreToolUse", "tool": "#(id)"}',
    "line end after a tool": b'{"event": "PreToolUse", "tool": "Bash\\n"}',
    "long tool": json.dumps({"event": "PreToolUse", "tool": "x" * 65}).encode(),
    "number for a word": b'{"event": "PreToolUse", "tool": 7}',
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_report_is_refused(name: str) -> None:
    with pytest.raises(BadEvent):
        parse_event(BAD[name])


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"schema_version": 2}', b"[" * 100_000,
                                  (b'{"schema_version":1,"state":"root","reason":"","since":0,"at":0,"event":"",'
                                  b'"session":"","pending":[]}')])  # fmt: skip
def test_a_file_that_is_none_is_no_activity(data: bytes) -> None:
    assert parse_activity(data) is None
