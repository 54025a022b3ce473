"""What the command line says without any bottle: help, wrong usage, exit codes. One line, a hint, no traceback."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bottlemux.cli.dispatch import COMMANDS, run_here

if TYPE_CHECKING:
    from tests.e2e.world import World

MISTAKES = {
    "unknown command": (["frobnicate"], 2, "no command 'frobnicate'"),
    "no agent": (["start"], 2, "no agent is named, here or in "),
    "unknown agent": (["start", "nobody", "--yes"], 4, "no agent 'nobody' (known: claude, demo,"),
    "unknown backend": (["start", "shell", "--yes", "--backend", "xen"], 2, "no backend 'xen'"),
    "unknown layout": (["start", "shell", "--yes", "--layout", "xx"], 4, "no layout 'xx'"),
    "mistyped command": (["strat"], 2, "no command 'strat'"),
    "bad workspace": (["start", "shell", "--workspace", "xx"], 2, "invalid choice: 'xx'"),
    "no directory": (["start", "shell", "--cwd", "/nowhere"], 2, "'/nowhere' is not a directory"),
    "nobody to ask": (["start", "shell"], 2, "there is no terminal to confirm on"),
    "abbreviated option": (["start", "shell", "--work", "copy"], 2, "--work"),
    "unknown bottle": (["exec", "nope-00000", "--", "true"], 4, "no bottle 'nope-00000'"),
    "nothing to run": (["exec", "nope-00000"], 2, "what shall be run?"),
    "unknown listing": (["list", "stars"], 2, "invalid choice: 'stars'"),
    "stop what": (["stop"], 2, "name the bottles, or give --all"),
    "stop both": (["stop", "a-00000", "--all"], 2, "name the bottles, or give --all"),
    "rm what": (["rm"], 2, "name the bottles, or give --all"),
    "rm unknown": (["rm", "nope-00000"], 4, "no bottle 'nope-00000'"),
    "info unknown": (["info", "nobody"], 4, "no agent 'nobody'"),
    "logs unknown": (["logs", "nope-00000"], 4, "no bottle 'nope-00000'"),
    "audit unknown": (["audit", "nope-00000"], 4, "no bottle 'nope-00000'"),
    "bad socket name": (["status", "--socket-name", "a/b"], 2, "bad tmux socket name 'a/b'"),
    "empty key": (["keys", "install", "--key", ""], 2, "'' is not the name of a key"),
    "empty key for good": (["keys", "install", "--conf", "--key", ""], 2, "'' is not the name of a key"),
    "status unknown": (["status", "nope-00000"], 4, "no bottle 'nope-00000'"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(world: World, command: str) -> None:
    printed = world.run(command, "--help")
    assert f"usage: bottlemux {command}" in printed
    assert "--socket-name" in printed


@pytest.mark.parametrize(("words", "code", "text"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_a_hint(world: World, words: list[str], code: int, text: str) -> None:
    done = world.try_run(*words)
    assert done.returncode == code
    first, *rest = done.stderr.splitlines()
    assert first.startswith("bottlemux: error: ")
    assert text in first
    assert all(line.startswith("hint: ") for line in rest)


def test_help_is_an_exit_code_where_the_process_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    """A fork of the zygote must send an answer: ``start --help`` beside a running bottle was a traceback."""
    assert run_here(["start", "--help"]) == 0
    assert "usage: bottlemux start" in capsys.readouterr().out


def test_wrong_usage_names_what_is_wrong_and_the_help_of_the_command(world: World) -> None:
    assert world.try_run("start").stderr.splitlines() == [
        f"bottlemux: error: no agent is named, here or in {world.config}/config.toml",
        "hint: bottlemux start AGENT; bottlemux list agents shows them",
    ]
    for called, words in (("attach", ["a", "x"]), ("layout show", ["solo", "x"]), ("", ["--x"])):
        assert world.try_run(*called.split(), *words).stderr.splitlines() == [
            f"bottlemux: error: unrecognized arguments: {words[-1]}",
            f"hint: {f'bottlemux {called}'.strip()} --help",
        ]


def test_dry_run_makes_nothing(world: World) -> None:
    before = {path for path in world.state.rglob("*") if path.is_file()} if world.state.exists() else set()
    printed = world.run("start", "shell", "--dry-run", "--prompt", "line one\nline two")
    assert "program    bash --norc" in printed
    assert "network    nothing" in printed
    assert "line one..." in printed
    after = {path for path in world.state.rglob("*") if path.is_file()} if world.state.exists() else set()
    assert {path for path in after - before if "run" not in path.parts} == set()
    assert not any(world.project.iterdir())


def test_a_hostile_manifest_cannot_move_the_cursor(world: World) -> None:
    world.manifest("agents", "loud", 'bottle: quiet\nprogram: [bash, "\\e[2Jgone"]')
    printed = world.run("start", "loud", "--dry-run")
    assert "\x1b" not in printed
    assert "\\x1b[2Jgone" in printed


def test_listings_are_one_name_a_line(world: World) -> None:
    assert {"shell", "demo"} <= set(world.run("list", "agents").split())
    assert {"quiet", "demo"} <= set(world.run("list", "bottles").split())
    assert {"default", "solo"} <= set(world.run("list", "layouts").split())


def test_doctor_speaks_json(world: World) -> None:
    done = world.try_run("doctor", "--json")
    checks = json.loads(done.stdout)
    assert {"name", "level", "detail", "fix"} == set(checks[0])
    assert all(check["fix"] for check in checks if check["level"] == "error")
    assert done.returncode == (3 if any(check["level"] == "error" for check in checks) else 0)


SUGGESTIONS = {
    "command": (["strat", "demo"], "did you mean 'start'?"),
    "listing": (["list", "agent"], "did you mean 'agents'?"),
    "agent": (["start", "dmeo", "--dry-run"], "did you mean 'demo'?"),
    "layout": (["layout", "show", "defualt"], "did you mean 'default'?"),
    "action": (["layout", "shwo"], "did you mean 'show'?"),
    "topic": (["help", "manifset"], "did you mean 'manifest'?"),
}


@pytest.mark.parametrize(("words", "suggestion"), SUGGESTIONS.values(), ids=SUGGESTIONS)
def test_a_mistyped_name_is_answered_with_the_one_that_was_meant(
    world: World, words: list[str], suggestion: str
) -> None:
    assert f"hint: {suggestion}" in world.try_run(*words).stderr


def test_a_mistyped_slug_too(world: World, slug: str) -> None:
    assert f"did you mean {slug!r}?" in world.try_run("logs", f"x{slug}").stderr


def test_list_alone_is_what_runs(world: World, slug: str) -> None:
    assert slug in world.run("list")


def test_the_agent_may_be_the_one_that_the_settings_name(world: World) -> None:
    assert "no agent is named" in world.try_run("start", "--dry-run").stderr
    (world.config / "config.toml").write_text('agent = "shell"\n')
    try:
        assert "agent      shell in bottle quiet" in world.run("start", "--dry-run")
    finally:
        (world.config / "config.toml").unlink()
