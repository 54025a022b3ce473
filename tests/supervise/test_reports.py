"""What a program reports about itself: taken when it is small and plain, and never more than a bottle's own state."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from backends import reporter
from sidecars.supervise import reports
from sidecars.supervise.activity import parse_activity
from tests.supervise.support import HEADERS, Answer, Server, running

if TYPE_CHECKING:
    from pathlib import Path


def report(server: Server, _raw: bytes | None = None, **event: Any) -> Answer:
    return server.send(json.dumps(event).encode() if _raw is None else _raw, path="/report")


def state(server: Server) -> str:
    activity = parse_activity(server.spec.activity_file.read_bytes())
    assert activity is not None
    return f"{activity.state}: {activity.reason}"


def test_events_become_one_small_file(server: Server) -> None:
    assert report(server, event="SessionStart", session="s-1", detail="startup").status == 204
    assert state(server) == "idle: at its prompt"
    assert report(server, event="PermissionRequest", session="s-1", tool="Bash").status == 204
    assert state(server) == "waiting: asks for permission to use Bash"
    assert server.spec.activity_file.stat().st_size < 1000
    assert [file.name for file in server.spec.activity_file.parent.glob("*activity*")] == ["activity.json"]


BAD: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"\xff",
    "deep": b'{"event":' + b"[" * 3000,
    "unknown event": b'{"event": "Root"}',
    "another bottle's name": b'{"event": "Stop", "slug": "other-00000"}',
    "an escape": b'{"event": "PreToolUse", "tool": "\\u001b]0;owned\\u0007"}',
    "large": json.dumps({"event": "Stop", "session": "x" * 5000}).encode(),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_report_changes_nothing_and_says_why(server: Server, name: str) -> None:
    assert report(server, event="Stop").status == 204
    answer = report(server, BAD[name])
    assert answer.status == 400
    assert answer.message()["error"]["message"]
    assert state(server) == "finished: its turn ended"
    assert server.is_well()


@pytest.mark.parametrize("headers", [{"Host": "evil.example.com"}, {"Origin": "http://evil.example.com"},
                                     {"Mcp-Session-Id": "forged"}])  # fmt: skip
def test_reports_come_from_the_bottle_only(server: Server, headers: dict[str, str]) -> None:
    assert server.send(b'{"event": "Stop"}', headers, path="/report").status in {421, 403, 404}
    assert not server.spec.activity_file.exists()


def test_a_flood_is_refused_and_the_rest_is_served(server: Server) -> None:
    answers = [report(server, event="UserPromptSubmit").status for _ in range(reports.BURST * 3)]
    assert set(answers) == {204, 429}
    assert answers[: reports.BURST] == [204] * reports.BURST
    assert server.is_well()


def test_a_restarted_service_goes_on_where_it_was(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        report(server, event="PermissionRequest", tool="Bash")
    with running(tmp_path) as server:
        report(server, event="PostToolUse", tool="Read")
        assert state(server) == "waiting: asks for permission to use Bash"


def test_what_cannot_be_written_is_an_error(server: Server) -> None:
    server.spec.activity_file.mkdir()
    assert report(server, event="Stop").status == 507
    assert server.is_well()


HOOK = {
    "session_id": "8c6f763d-4b7b-439f-ba8b-8ada07c3cab7",
    "transcript_path": "/home/node/.claude/projects/x.jsonl",
    "hook_event_name": "PreToolUse",
    "tool_name": "mcp__server with space\x1b__tool",
    "tool_input": {"command": "x" * 100_000},
}


def test_the_reporter_cuts_an_event_down_to_what_is_taken(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_PID", "17")
    event = reporter.reduced(dict(HOOK))
    assert "command" not in json.dumps(event)
    assert server.send(json.dumps(event).encode(), {**HEADERS}, path="/report").status == 204
    assert state(server) == "working: uses mcp__server_with_space___tool"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"hook_event_name": 7}', "[" * 100_000])
def test_the_reporter_neither_speaks_nor_fails(text: str) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", reporter.__file__],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_reporter_gives_up_on_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = silent.getsockname()
        script = f"from backends import reporter; reporter.ADDRESS = {address!r}; reporter.main()"
        done = subprocess.run(
            [sys.executable, "-c", script], input='{"hook_event_name": "Stop"}', capture_output=True, text=True,
            timeout=30,
        )  # fmt: skip
        connection, _ = silent.accept()
        with connection:
            assert b'"event": "Stop"' in connection.recv(4096)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
