"""What each preset says: settings that parse, a start script, a bottle that loads; then starts with stand-ins."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest

from backends.presets import PRESETS, SUPERVISE_URL, Preset, preset_of
from backends.programs import start_script
from bottlemux.lifecycle.beginning import Answers, write_first
from bottlemux.manifest.loader import resolve
from bottlemux.paths import Paths
from tests.e2e.world import World, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE_TASK = '--version $(touch pwned) "quoted"'
ALL = pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)


@ALL
def test_settings_are_well_formed_and_hold_placeholders_only(preset: Preset) -> None:
    for name, text in [*preset.home.items(), *preset.supervised.items()]:
        if name.endswith(".json"):
            json.loads(text)
        elif name.endswith(".toml"):
            tomllib.loads(text)
    assert all(not api.token_ref.startswith(("sk-", "gh")) for api in preset.apis)


@ALL
def test_where_the_agent_may_ask_it_is_told_where(preset: Preset) -> None:
    assert any(SUPERVISE_URL in text for text in preset.supervised.values())
    assert not any(SUPERVISE_URL in text for text in preset.home.values())


@ALL
def test_the_start_script_is_one(preset: Preset) -> None:
    script = start_script((preset.name,), (), prompt="task", instructions="be kind")
    done = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr


@ALL
def test_it_says_how_far_it_was_tried_and_how_to_get_it(preset: Preset) -> None:
    assert preset.tested
    assert preset.install.startswith("npm install -g ")


@ALL
def test_init_makes_a_bottle_of_it_that_loads(preset: Preset, tmp_path: Path) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state", tmp_path / "run")
    write_first(paths, Answers("mine", (preset.name,), (), "mount"))
    routes = resolve(paths, "mine", tmp_path).bottle.egress.routes
    assert [route.host for route in routes] == [api.host for api in preset.apis]
    assert [str(route.token_ref) for route in routes] == [api.token_ref for api in preset.apis]


@ALL
def test_the_operators_own_choice_of_permissions_counts(preset: Preset) -> None:
    option = preset.permission_options[0]
    script = start_script((preset.name, option), (), prompt="", instructions="")
    assert not set(preset.unattended) - {option} & set(script.split())


def test_another_program_is_started_as_it_is() -> None:
    preset = preset_of(["/opt/my-agent"])
    assert (preset.name, preset.tested) == ("my-agent", "started as it is")
    script = start_script(("/opt/my-agent", "--yes"), (), prompt="", instructions="")
    assert "/opt/my-agent --yes" in script.splitlines()[-1]


@pytest.fixture
def user(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "user")
    world.manifest("bottles", "plain", "supervise: true")
    directory = world.home / "bin"
    directory.mkdir()
    world.environ["PATH"] = f"{directory}{os.pathsep}{world.environ['PATH']}"
    yield world
    world.close()


# A conversation is kept where the real program keeps one. A run is a line of its arguments, written when all else is.
STAND_IN = """#!/bin/sh
{instructions}
mkdir -p "$(dirname "$HOME/{conversation}")"
echo x > "$HOME/{conversation}"
printf '[%s]' "$@" >> /workspace/runs
echo >> /workspace/runs
exec sleep 60
"""


@pytest.mark.bwrap
@pytest.mark.tmux
@pytest.mark.parametrize("name", ["codex", "gemini", "qwen"])
def test_task_instructions_and_resume_reach_the_program(user: World, name: str) -> None:
    preset = PRESETS[name]
    copying = (
        f'cp "$HOME/{preset.instructions_file}" /workspace/instructions' if preset.instructions_file else ""
    )
    program = user.home / "bin" / name
    conversation = preset.conversation.replace("*", "1")
    program.write_text(STAND_IN.format(instructions=copying, conversation=conversation))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    user.manifest("agents", "other", f"bottle: plain\nprogram: {name}", "ALWAYS BE KIND")

    slug = user.start("other", f"--prompt={HOSTILE_TASK}")
    (first,) = runs(user, 1)
    joined = preset.before_prompt[-1] if preset.before_prompt[-1].endswith("=") else ""
    assert first.endswith(f"[{joined}{HOSTILE_TASK}]")
    told = (user.project / "instructions").read_text() if copying else first
    assert "ALWAYS BE KIND" in told
    assert not (user.project / "pwned").exists()
    for place, text in preset.supervised.items():
        assert (user.bottle(slug) / "home" / place).read_text() == text

    user.run("stop", slug)
    user.run("resume", slug, "--detach")
    assert "".join(f"[{word}]" for word in preset.resume) in runs(user, 2)[1]


def runs(user: World, count: int) -> list[str]:
    """Return the arguments of each run; instructions given as an argument are of several lines."""
    file = user.project / "runs"
    until(lambda: file.exists() and file.read_text().count("]\n") >= count, f"run {count}")
    return [f"{run}]" for run in file.read_text().split("]\n") if run]
