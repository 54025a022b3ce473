"""How an agent's program is started and brought back, shown with a stand-in for Claude Code."""

from __future__ import annotations

import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.world import until

if TYPE_CHECKING:
    from tests.e2e.world import World

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux]

# Each run is a line of its arguments; a conversation is kept as Claude Code keeps one.
STAND_IN = """#!/bin/sh
for word; do
case "$word" in (*bottle:*) word=INSTRUCTIONS;; (????????-????-????-????-????????????) word=ID;; esac
printf '[%s]' "$word"
done >> /workspace/runs
echo >> /workspace/runs
mkdir -p "$HOME/.claude/projects/-workspace"
echo '{"type":"user"}' > "$HOME/.claude/projects/-workspace/1.jsonl"
case " $* " in (*" --continue "*) [ ! -e /workspace/failing ] || exit 1;; esac
[ ! -e /workspace/dying ] || kill -KILL $$
exec sleep 60
"""


@pytest.fixture
def stand_in(shell: World) -> World:
    directory = shell.home / "bin"
    directory.mkdir()
    program = directory / "claude"
    program.write_text(STAND_IN)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    shell.environ["PATH"] = f"{directory}{os.pathsep}{shell.environ['PATH']}"
    shell.manifest("agents", "coder", "bottle: plain\nprogram: claude")
    return shell


def runs(world: World, count: int) -> list[str]:
    file = world.project / "runs"
    until(lambda: file.exists() and file.read_text().count("\n") >= count, f"run {count} of the program")
    return file.read_text().splitlines()


HOOKS = "[--settings][/run/bottlemux/hooks.json]"
FRESH = f"[--dangerously-skip-permissions]{HOOKS}[--append-system-prompt][INSTRUCTIONS][--session-id][ID][--][the task]"
CONTINUED = f"[--dangerously-skip-permissions]{HOOKS}[--append-system-prompt][INSTRUCTIONS][--continue]"


def test_fresh_start_submits_the_prompt_and_resume_continues(stand_in: World) -> None:
    slug = stand_in.start("coder", "--prompt", "the task")
    assert runs(stand_in, 1) == [FRESH]
    stand_in.run("stop", slug)
    stand_in.run("resume", slug, "--detach")
    assert runs(stand_in, 2)[1:] == [CONTINUED]


def test_conversation_that_cannot_be_continued_gives_way_to_a_fresh_start(stand_in: World) -> None:
    slug = stand_in.start("coder", "--prompt", "the task")
    runs(stand_in, 1)
    stand_in.run("stop", slug)
    (stand_in.project / "failing").touch()
    stand_in.run("resume", slug, "--detach")
    assert runs(stand_in, 3)[1:] == [CONTINUED, FRESH]
    assert "starting a fresh one" in stand_in.pane(slug)


def test_program_killed_while_continuing_is_not_started_afresh(stand_in: World) -> None:
    slug = stand_in.start("coder", "--prompt", "the task")
    runs(stand_in, 1)
    stand_in.run("stop", slug)
    (stand_in.project / "dying").touch()
    stand_in.run("resume", slug, "--detach")
    until(lambda: stand_in.is_dead(slug), "the end of the program")
    assert runs(stand_in, 2)[1:] == [CONTINUED]


@pytest.mark.parametrize("prompt", [b"a\xffb", b"a\0b"], ids=["no UTF-8", "NUL"])
def test_prompt_that_is_no_text_is_refused(stand_in: World, prompt: bytes) -> None:
    done = subprocess.run(
        stand_in.argv("start", "coder", "--yes", "--prompt", "-"), input=prompt, capture_output=True,
        cwd=stand_in.project, env=stand_in.environ,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(b"bottlemux: error: the prompt is not text\n")
    assert not (stand_in.state / "bottles").exists()


def test_prompt_from_standard_input_keeps_its_line_ends(stand_in: World) -> None:
    stand_in.start("coder", "--prompt", "-", stdin="one\r\ntwo\n")
    until((stand_in.project / "runs").exists, "the program's run")
    until(lambda: b"[one\r\ntwo\n]" in (stand_in.project / "runs").read_bytes(), "the prompt as it was")


def test_operators_permission_options_replace_ours(stand_in: World) -> None:
    stand_in.start("coder", "--prompt", "the task", "--", "--permission-mode", "plan")
    expected = f"{HOOKS}[--permission-mode][plan][--append-system-prompt][INSTRUCTIONS][--session-id][ID][--][the task]"
    assert runs(stand_in, 1) == [expected]


def test_why_a_program_failed_at_once_stays_in_sight(shell: World) -> None:
    shell.manifest("agents", "failing", "bottle: plain\nprogram: [/bin/sh, /no/such/file]")
    slug = shell.start("failing")
    until(lambda: shell.is_dead(slug), "its end")
    assert "/no/such/file" in shell.tmux("capture-pane", "-p", "-t", shell.pane_id(slug))
