"""Help without a network: topics, commands, the manual page, and schemas that describe what is really printed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import jsonschema
import pytest

from bottlemux.cli.dispatch import COMMANDS
from bottlemux.cli.list_ import COLUMNS
from bottlemux.cli.manpage import manual_page
from bottlemux.cli.schemas import schema_names, schema_of

if TYPE_CHECKING:
    from tests.e2e.world import World

PRINTED = {
    "actions": ["palette", "--list", "--json"],
    "audit": ["audit", "SLUG", "--json"],
    "approvals": ["approvals", "list", "--all", "--json"],
    "doctor": ["doctor", "--json"],
    "images-list": ["images", "list", "--json"],
    "info": ["info", "--json"],
    "layout-list": ["layout", "list", "--json"],
    "status": ["status", "--json"],
    **{f"list-{what}": ["list", what, "--json"] for what in COLUMNS},
}
MAY_BE_EMPTY = {"approvals", "list-resumable"}


def test_without_a_name_commands_and_topics_are_listed(world: World) -> None:
    printed = world.run("help")
    assert all(f"\n    {name} " in printed for name in COMMANDS)
    assert "\n  manifest " in printed


def test_a_command_and_a_topic_are_explained(world: World) -> None:
    assert world.run("help", "start") == world.run("start", "--help")
    assert "unknown key" in world.run("help", "manifest")


def test_an_unknown_topic_is_refused_with_the_known_ones(world: World) -> None:
    done = world.try_run("help", "nonsense")
    assert done.returncode == 4
    assert "no command or topic 'nonsense'" in done.stderr
    assert "git-push" in done.stderr


def test_an_error_names_its_page(world: World) -> None:
    world.manifest("agents", "broken", "bottle: quiet\nprogramm: x")
    done = world.try_run("info", "broken")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "hint: more: bottlemux help manifest"


def test_the_manual_page_names_every_command_and_exit_code() -> None:
    page = manual_page()
    assert all(f"\n.SS {name}\n" in page for name in COMMANDS)
    assert "\n.B 130\n" in page


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_man_formats_the_page_without_a_complaint(world: World) -> None:
    done = subprocess.run(
        ["man", "--warnings", "-l", "-"], input=manual_page(), capture_output=True, text=True, timeout=60,
        env={**world.environ, "MAN_KEEP_STDERR": "1", "MANWIDTH": "80", "MANPAGER": "cat"},
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr == ""
    assert "attach" in done.stdout


def test_every_schema_is_tried() -> None:
    assert set(PRINTED) == set(schema_names())


@pytest.mark.bwrap
@pytest.mark.tmux
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.docker) if name.startswith("images") else name for name in PRINTED],
)
def test_what_is_printed_is_what_the_schema_says(world: World, slug: str, name: str) -> None:
    if name == "audit":
        world.run("exec", slug, "--", "sh", "-c", "curl -s http://blocked.example || true")
    words = [slug if word == "SLUG" else word for word in PRINTED[name]]
    engine = {"DOCKER_HOST": os.environ.get("DOCKER_HOST", "")} if name.startswith("images") else {}
    value = json.loads(world.try_run(*words, **engine).stdout)
    jsonschema.validate(value, schema_of(name))
    assert value or name in MAY_BE_EMPTY


def test_a_schema_refuses_what_is_not_printed() -> None:
    jsonschema.Draft202012Validator.check_schema(schema_of("doctor"))
    for wrong in ({"name": "x"}, {"name": "x", "level": "bad", "detail": "", "fix": ""}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate([wrong], schema_of("doctor"))


def test_schemas_are_printed(world: World) -> None:
    assert json.loads(world.run("help", "--schema", "status"))["title"] == "Bottles"
    assert world.try_run("help", "--schema", "x").returncode == 4


def test_the_manual_and_the_reference_leave_out_what_has_no_help() -> None:
    assert "keys load" not in manual_page()
    assert "keys install" in manual_page()
