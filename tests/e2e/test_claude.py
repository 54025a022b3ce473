"""Claude Code itself in a bottle in a tmux window, at work without anybody answering a question."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING

import pytest

from tests.e2e.fake_api import HOST, Text, ToolUse
from tests.e2e.world import kill, processes, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.fake_api import ApiRequest, FakeApi
    from tests.e2e.world import World

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux, pytest.mark.claude]

TOKEN = f"sk-ant-oat01-{secrets.token_urlsafe(48)}"
ANSWER = "The-answer-is-42."
HOSTILE_PROMPTS = {
    "quotes": """say "hi" and 'bye' and `id` and \\ and \\n""",
    "expansions": "$(touch /workspace/pwned) ${HOME} $HOME `touch /workspace/pwned` ; exit 3 #{pid} %s !!",
    "lines": "first line\n\n  second line\twith a tab\nlast line;\n",
    "unicode": "grüße 漢字 🎉 e\u0301 end",
    "leading dash": "--help -p -x",
    "leading double dash": "-- --version",
    "100 kB": "word " * 20_000 + "end",
}


def start(world: World, prompt: str, *words: str) -> str:
    return world.start("coder", f"--prompt={prompt}", *words, CLAUDE_CODE_OAUTH_TOKEN=TOKEN)


def last_turn(api: FakeApi, count: int = 1) -> ApiRequest:
    return until(lambda: len(api.turns()) >= count and api.turns()[-1], f"turn {count} of the agent")


def test_answers_in_its_pane_and_with_p(claude: World, api: FakeApi) -> None:
    api.otherwise = lambda _request: Text(ANSWER)
    slug = start(claude, "What is the answer?")
    claude.wait_for_text(slug, ANSWER)
    assert "What is the answer?" in last_turn(api).texts("user")
    assert "You are the coder of these tests." in json.dumps(last_turn(api).body["system"])

    printed = claude.run("exec", slug, "--", "claude", "-p", "say hi")
    assert printed.strip() == ANSWER
    assert "say hi" in last_turn(api, 2).texts("user")

    assert {request.headers["authorization"] for request in api.requests} == {f"Bearer {TOKEN}"}
    assert_token_nowhere(claude, slug)
    assert_audit(claude, slug)
    claude.run("stop", slug)
    assert_no_file_holds(TOKEN, claude.home.parent)


def assert_token_nowhere(world: World, slug: str) -> None:
    holders = [process.pid for process in processes() if TOKEN.encode() in process.environ + process.cmdline]
    assert not holders, "a process on the host has the token in its environment or arguments"
    script = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; cat /run/bottlemux/start; env"
    seen = world.run("exec", slug, "--", "sh", "-c", f"({script}) 2>/dev/null | tr '\\0' '\\n'")
    assert "CLAUDE_CODE_OAUTH_TOKEN=" in seen
    assert TOKEN not in seen
    assert TOKEN not in world.panes()
    assert TOKEN not in world.tmux("show-environment", "-g")
    for command in (("status", slug, "--json"), ("audit", slug), ("info", "coder"), ("logs", slug)):
        assert TOKEN not in world.run(*command)
    assert_no_file_holds(TOKEN, world.home.parent)


def assert_no_file_holds(token: str, root: Path) -> None:
    """Look at every file of the user: home, project, configuration, state, sockets' directory, logs."""
    encoded = base64.b64encode(token.encode()).rstrip(b"=")[:-2]
    looked_at = list(_files(root))
    assert any(path.name == "audit.jsonl" for path in looked_at)
    for path in looked_at:
        content = path.read_bytes()
        assert token.encode() not in content, path
        assert encoded not in content, path


def _files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def assert_audit(world: World, slug: str) -> None:
    entries = world.audit(slug)
    allowed = [entry for entry in entries if entry["decision"] == "allow"]
    assert {entry["status"] for entry in allowed if entry["path"] == "/v1/messages"} == {200}
    assert {entry["host"] for entry in allowed} == {HOST}
    assert all("?" not in entry["path"] for entry in entries)
    assert not [entry["host"] for entry in entries if entry["decision"] != "allow"], (
        "Claude Code asks elsewhere"
    )


def test_prompts_arrive_as_typed(claude: World, api: FakeApi) -> None:
    for count, (name, prompt) in enumerate(HOSTILE_PROMPTS.items(), start=1):
        slug = start(claude, prompt)
        assert last_turn(api, count).texts("user")[-1] == prompt, name
        claude.run("stop", slug)
    assert not (claude.project / "pwned").exists()


def test_prompt_too_long_for_an_argument_is_a_file_to_read(claude: World, api: FakeApi) -> None:
    prompt = "line of a long task\n" * 10_000
    slug = claude.start("coder", "--prompt", "-", stdin=prompt, CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    told = last_turn(api).texts("user")[-1]
    assert "/run/bottlemux/task.md" in told
    assert claude.run("exec", slug, "--", "cat", "/run/bottlemux/task.md") == prompt


def test_tools_run_without_a_question(claude: World, api: FakeApi) -> None:
    command = "id -un > made-by-agent; curl -s -o /dev/null -w '%{http_code}' https://example.com/; true"
    api.script([ToolUse("Bash", {"command": command, "description": "try"}), Text(ANSWER)])
    slug = start(claude, "use a tool")
    claude.wait_for_text(slug, ANSWER)
    assert (claude.project / "made-by-agent").read_text() == "node\n"
    blocked = [
        (entry["host"], entry["reason"]) for entry in claude.audit(slug) if entry["decision"] == "block"
    ]
    assert blocked == [("example.com", "host-not-allowed")]


def test_project_files_raise_no_question(claude: World, api: FakeApi) -> None:
    (claude.project / "CLAUDE.md").write_text("The system is @/etc/os-release\n")
    (claude.project / ".mcp.json").write_text('{"mcpServers": {"own": {"command": "true", "args": []}}}')
    (claude.project / ".claude").mkdir()
    hook = '{"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": "touch /workspace/hooked"}]}]}}'
    (claude.project / ".claude" / "settings.json").write_text(hook)
    start(claude, "first task")
    assert last_turn(api).texts("user")[-1] == "first task"
    assert (claude.project / "hooked").exists()


def test_api_key_raises_no_question(claude: World, api: FakeApi) -> None:
    bottle = claude.config / "bottles" / "api.md"
    keyed = "token_ref: ANTHROPIC_API_KEY\n      header: x-api-key"
    bottle.write_text(bottle.read_text().replace("token_ref: CLAUDE_CODE_OAUTH_TOKEN", keyed))
    claude.start("coder", "--prompt=first task", ANTHROPIC_API_KEY=TOKEN)
    turn = last_turn(api)
    assert turn.texts("user")[-1] == "first task"
    assert turn.headers["x-api-key"] == TOKEN


def test_resume_continues_the_conversation(claude: World, api: FakeApi) -> None:
    api.script([Text("My first answer.")])
    slug = start(claude, "first task")
    claude.wait_for_text(slug, "My first answer.")
    claude.run("stop", slug)
    assert claude.status(slug)["state"] == "exited"

    claude.run("resume", slug, "--detach", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    claude.wait_for_text(slug, "My first answer.")
    assert len(api.turns()) == 1, "the first task was submitted again"
    submit(claude, slug, "and the second task")
    turn = last_turn(api, 2)
    assert [text for text in turn.texts("user") if "task" in text][-2:] == [
        "first task",
        "and the second task",
    ]
    assert "My first answer." in turn.texts("assistant")


def submit(world: World, slug: str, text: str) -> None:
    pane = world.pane_id(slug)
    world.wait_for_text(slug, "bypass permissions on")
    world.tmux("send-keys", "-t", pane, "-l", text)
    world.wait_for_text(slug, text)
    world.tmux("send-keys", "-t", pane, "Enter")


def conversations(world: World, slug: str) -> list[Path]:
    return list((world.bottle(slug) / "home" / ".claude" / "projects").rglob("*.jsonl"))


def conversation(world: World, slug: str) -> str:
    """Return what Claude Code has written down, which it does a moment after it shows it."""
    return "".join(file.read_text() for file in conversations(world, slug))


def test_killed_agent_comes_back_in_its_pane(claude: World, api: FakeApi) -> None:
    api.script([Text("My first answer.")])
    slug = start(claude, "first task")
    claude.wait_for_text(slug, "My first answer.")
    until(lambda: "My first answer." in conversation(claude, slug), "the conversation on disk")
    pane = claude.pane_id(slug)
    claude.run("exec", slug, "--", "pkill", "-KILL", "-x", "claude")
    until(lambda: claude.is_dead(slug), "the pane's program ended")
    status = claude.status(slug)
    assert (status["state"], "137" in status["reason"]) == ("exited", True)
    assert "[exit code 137]" in claude.pane(slug)

    claude.run("resume", slug, "--detach")
    claude.wait_for_text(slug, "My first answer.")
    assert claude.pane_id(slug) == pane
    assert len(api.turns()) == 1


def test_without_a_conversation_resume_starts_afresh(claude: World, api: FakeApi) -> None:
    slug = start(claude, "first task")
    last_turn(api)
    claude.run("stop", slug)
    for file in conversations(claude, slug):
        file.unlink()
    claude.run("resume", slug, "--detach", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    assert last_turn(api, 2).texts("user")[-1] == "first task"


def test_unusable_conversation_falls_back_to_a_fresh_start(claude: World, api: FakeApi) -> None:
    slug = start(claude, "first task")
    last_turn(api)
    claude.run("stop", slug)
    for file in conversations(claude, slug):
        file.write_text("this is no conversation\n")
    claude.run("resume", slug, "--detach", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    assert last_turn(api, 2).texts("user")[-1] == "first task"


def test_killed_supervisor_loses_no_conversation(claude: World, api: FakeApi) -> None:
    api.script([Text("My first answer.")])
    slug = start(claude, "first task")
    until(lambda: "My first answer." in conversation(claude, slug), "the conversation on disk")
    kill([claude.report(slug)["supervisor_pid"]])
    until(lambda: claude.status(slug)["state"] == "broken", "the state broken")
    claude.run("resume", slug, "--detach", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    claude.wait_for_text(slug, "My first answer.")
    assert claude.run("exec", slug, "--", "claude", "-p", "say hi").strip() == "Done."
