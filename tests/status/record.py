"""Records real sessions of Claude Code against the fake Messages API: ``python -m tests.status.record [NAME...]``.

A recording in ``streams/`` has a line for each event as our reporter reduces it, for each look at the window, and for
each moment at which a person would say what the agent does. The tests replay them; nothing here is run by them.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.presets.claude import CLAUDE
from tests.conftest import _CACHED_CLAUDE
from tests.e2e.fake_api import FakeApi, Text, ToolUse

if TYPE_CHECKING:
    from collections.abc import Callable

STREAMS = Path(__file__).parent / "streams"
ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0
SCREEN_LINES = 30
QUESTION = {"questions": [{"question": "Which one?", "header": "Pick", "multiSelect": False, "options": [
    {"label": "A", "description": "the first"}, {"label": "B", "description": "the second"}]}]}  # fmt: skip
HOOK = """\
import json, sys, time
sys.path.insert(0, {root!r})
from backends.reporter import reduced
event = reduced(json.load(sys.stdin))
with open({log!r}, "a") as log:
    log.write(json.dumps({{"at": round(time.time(), 3), "event": event}}) + "\\n")
"""


class Session:
    """One Claude Code in a tmux of its own."""

    def __init__(self, root: Path) -> None:
        self.root, self.home, self.project = root, root / "home", root / "project"
        self.log = root / "stream.jsonl"
        self.log.touch()
        (self.home / ".claude").mkdir(parents=True)
        self.project.mkdir()
        self.api = FakeApi(root)
        self.socket = f"record-{secrets.token_hex(4)}"
        self._write_settings()
        self.environ = {
            **CLAUDE.environ,
            "ANTHROPIC_BASE_URL": f"https://{self.api.address}",
            "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-placeholder",
            "HOME": str(self.home),
            "IS_SANDBOX": "1",
            "LANG": "C.UTF-8",
            "NODE_TLS_REJECT_UNAUTHORIZED": "0",
            "PATH": f"{_CACHED_CLAUDE}{os.pathsep}{os.environ['PATH']}",
            "SHELL": "/bin/sh",
            "TERM": "xterm-256color",
        }

    def _write_settings(self) -> None:
        hook = self.root / "hook.py"
        hook.write_text(HOOK.format(root=str(ROOT), log=str(self.log)))
        command = f"{sys.executable} -S {hook}"
        hooks = {
            event: [{"hooks": [{"type": "command", "command": command}]}]
            for event in json.loads(CLAUDE.hooks)["hooks"]
        }
        (self.root / "hooks.json").write_text(json.dumps({"hooks": hooks}))
        state = json.loads(CLAUDE.home[".claude.json"])
        state["projects"] = {str(self.project): state["projects"]["/workspace"]}
        (self.home / ".claude.json").write_text(json.dumps(state))
        (self.home / ".claude" / "settings.json").write_text(CLAUDE.home[".claude/settings.json"])

    def start(self, *words: str) -> None:
        """Start Claude Code with hooks that record."""
        settings = ("--settings", str(self.root / "hooks.json"))
        self.tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", "-c", str(self.project),
            "claude", *settings, *words, ";", "set-option", "-w", "remain-on-exit", "on",
        )  # fmt: skip

    def tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-u", "-L", self.socket, *words], env=self.environ, capture_output=True, encoding="utf-8",
            timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        return done.stdout

    def keys(self, *keys: str) -> None:
        """Press keys, slowly enough for a screen that draws in between."""
        for key in keys:
            self.tmux("send-keys", key)
            time.sleep(0.4)

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit(f"{what} did not come true; the screen:\n{self.screen()}")
            time.sleep(0.1)

    def shows(self, text: str) -> None:
        """Wait until the screen has ``text``."""
        self.until(lambda: text in self.screen(), repr(text))

    def reported(self, event: str, count: int = 1) -> None:
        """Wait until ``event`` was reported ``count`` times."""
        mark = f'"event": "{event}"'
        self.until(lambda: self.log.read_text().count(mark) >= count, event)

    def expect(self, state: str, after: float = 0.0) -> None:
        """Write down that the agent is in ``state`` now, having let ``after`` seconds pass."""
        time.sleep(after)
        activity, dead, status, signalled = self.tmux(
            "display-message", "-p",
            "#{window_activity}\t#{pane_dead}\t#{pane_dead_status}\t#{pane_dead_signal}",
        ).rstrip("\n").split("\t")  # fmt: skip
        lines = [line.rstrip() for line in self.screen().rstrip().split("\n")]
        self._write({
            "at": round(time.time(), 3), "expect": state, "output_at": int(activity),
            "ended": (f"signal {signalled}" if signalled else f"exit code {status}") if dead == "1" else None,
            "screen": lines[-SCREEN_LINES:],
        })  # fmt: skip

    def _write(self, entry: dict[str, Any]) -> None:
        with self.log.open("a") as log:
            log.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def pid(self) -> int:
        return int(self.tmux("display-message", "-p", "#{pane_pid}"))

    def close(self) -> None:
        self.tmux("kill-server")
        self.api.close()
        shutil.rmtree(self.root, ignore_errors=True)


def _first_turn(session: Session, *words: str) -> None:
    session.start(*words, "say hi")
    session.reported("Stop")
    session.expect("finished", after=1)


def answer(session: Session) -> None:
    _first_turn(session, "--dangerously-skip-permissions")
    session.expect("finished", after=6)


def at_its_prompt(session: Session) -> None:
    session.start("--dangerously-skip-permissions")
    session.reported("SessionStart")
    session.expect("idle", after=3)


def tool(session: Session) -> None:
    _first_turn(session, "--dangerously-skip-permissions")
    session.api.script([ToolUse("Bash", {"command": "sleep 8", "description": "wait"})])
    session.keys("go on", "Enter")
    session.reported("PreToolUse")
    session.expect("working", after=1)
    session.expect("working", after=5)
    session.reported("Stop", 2)
    session.expect("finished", after=1)


def _ask_permission(session: Session, command: str) -> None:
    _first_turn(session, "--permission-mode", "default")
    session.api.script([ToolUse("Bash", {"command": command, "description": "wait"})])
    session.keys("go on", "Enter")
    session.shows("Do you want to proceed?")
    session.expect("waiting", after=1)
    session.expect("waiting", after=8)


def permission_given(session: Session) -> None:
    _ask_permission(session, "touch made && sleep 9")
    session.keys("Enter")
    session.expect("working", after=3)
    session.expect("working", after=3)
    session.reported("Stop", 2)
    session.expect("finished", after=1)


def permission_refused(session: Session) -> None:
    _ask_permission(session, "touch made")
    session.keys("Escape")
    session.shows("Interrupted")
    session.expect("idle", after=10)
    session.keys("another task", "Enter")
    session.reported("Stop", 2)
    session.expect("finished", after=1)


def question(session: Session) -> None:
    _first_turn(session, "--dangerously-skip-permissions")
    session.api.script([ToolUse("AskUserQuestion", QUESTION)])
    session.keys("ask me", "Enter")
    session.shows("Which one?")
    session.expect("waiting", after=2)
    session.expect("waiting", after=6)
    session.keys("Enter")
    session.reported("Stop", 2)
    session.expect("finished", after=1)


def question_dismissed(session: Session) -> None:
    _first_turn(session, "--dangerously-skip-permissions")
    session.api.script([ToolUse("AskUserQuestion", QUESTION)])
    session.keys("ask me", "Enter")
    session.shows("Which one?")
    session.expect("waiting", after=2)
    session.keys("Escape")
    session.expect("idle", after=7)


def plan(session: Session) -> None:
    _first_turn(session, "--permission-mode", "plan")
    session.api.script([ToolUse("ExitPlanMode", {"plan": "1. Do it."})])
    session.keys("make a plan", "Enter")
    session.reported("PermissionRequest")
    session.expect("waiting", after=3)
    session.expect("waiting", after=5)


def interrupted(session: Session) -> None:
    _first_turn(session, "--dangerously-skip-permissions")
    session.api.script([ToolUse("Bash", {"command": "timeout 50 tail -f /dev/null", "description": "wait"})])
    session.keys("go on", "Enter")
    session.reported("PreToolUse")
    session.expect("working", after=3)
    session.keys("Escape")
    session.shows("Interrupted")
    session.expect("idle", after=10)


def cleared(session: Session) -> None:
    _first_turn(session, "--dangerously-skip-permissions")
    session.keys("/clear", "Enter")
    session.reported("SessionStart", 2)
    session.expect("idle", after=2)


def compacted(session: Session) -> None:
    _first_turn(session, "--dangerously-skip-permissions")
    session.keys("/compact", "Enter")
    session.reported("PostCompact")
    session.expect("idle", after=2)


def subagent(session: Session) -> None:
    _first_turn(session, "--dangerously-skip-permissions")
    task = {"description": "a part", "prompt": "do a part", "subagent_type": "general-purpose"}
    session.api.script([
        ToolUse("Agent", task), Text("Begun."),
        ToolUse("Bash", {"command": "sleep 4", "description": "wait"}),
    ])  # fmt: skip
    session.keys("share the work", "Enter")
    session.reported("SubagentStop")
    session.reported("Stop", 3)
    session.expect("finished", after=3)


def background(session: Session) -> None:
    _first_turn(session, "--dangerously-skip-permissions")
    session.api.script([
        ToolUse("Bash", {"command": "sleep 6", "description": "wait", "run_in_background": True}), Text("Begun."),
    ])  # fmt: skip
    session.keys("start it", "Enter")
    session.reported("Stop", 2)
    session.expect("finished", after=1)
    session.reported("Stop", 3)
    session.expect("finished", after=1)


def killed(session: Session) -> None:
    _first_turn(session, "--dangerously-skip-permissions")
    session.api.script([ToolUse("Bash", {"command": "timeout 50 tail -f /dev/null", "description": "wait"})])
    session.keys("go on", "Enter")
    session.reported("PreToolUse")
    os.kill(session.pid(), signal.SIGKILL)
    session.expect("exited", after=1)


def left(session: Session) -> None:
    _first_turn(session, "--dangerously-skip-permissions")
    session.keys("/exit", "Enter")
    session.reported("SessionEnd")
    session.until(lambda: session.tmux("display-message", "-p", "#{pane_dead}").strip() == "1", "the end")
    session.expect("exited", after=1)


def printing(session: Session) -> None:
    session.api.script([ToolUse("Bash", {"command": "sleep 8", "description": "wait"})])
    session.start("--dangerously-skip-permissions", "-p", "say hi")
    session.reported("PreToolUse")
    session.expect("working", after=6)
    session.reported("SessionEnd")
    session.expect("exited", after=2)


SCENARIOS: tuple[Callable[[Session], None], ...] = (
    answer, at_its_prompt, tool, permission_given, permission_refused, question, question_dismissed, plan, interrupted,
    cleared, compacted, subagent, background, killed, left, printing,
)  # fmt: skip


def main() -> None:
    STREAMS.mkdir(exist_ok=True)
    for scenario in SCENARIOS:
        if sys.argv[1:] and scenario.__name__ not in sys.argv[1:]:
            continue
        session = Session(Path(tempfile.mkdtemp(prefix="record-")))
        with contextlib.closing(session):
            scenario(session)
            shutil.copyfile(session.log, STREAMS / f"{scenario.__name__}.jsonl")
        sys.stdout.write(f"{scenario.__name__}: recorded\n")


if __name__ == "__main__":
    main()
