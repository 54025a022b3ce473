"""``layout`` with a real bottle."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.world import World, until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux]

_COMMANDS = """
windows:
  - window_name: work
    panes:
      - role: agent
      - shell_command: ["echo it runs in $PWD", "exec sleep 1000"]
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    user = World(tmp_path_factory.mktemp("layouts"))
    user.manifest("bottles", "quiet", "supervise: false", "Nothing out.")
    user.manifest("agents", "shell", "bottle: quiet\nprogram: [bash, --norc]", "A shell.")
    yield user
    user.close()


def _panes(world: World, slug: str) -> dict[str, str]:
    rows = world.tmux(
        "list-panes", "-a", "-F", "#{@bottlemux_slug} #{@bottlemux_role} #{pane_pid}"
    ).splitlines()
    return {role: pid for own, role, pid in (row.split(" ") for row in rows) if own == slug}


def test_save_apply_show_rm(world: World) -> None:
    slug = world.start("shell")
    before = _panes(world, slug)
    assert before.keys() == {"agent", "shell", "audit"}
    assert "saved from" in world.run("layout", "save", "mine", slug)
    assert world.try_run("layout", "save", "mine").returncode == 1
    hiding = world.try_run("layout", "save", "wide", "--slug", slug)
    assert (
        hiding.stderr
        == "layout 'wide' is yours from now on; back to the shipped one: bottlemux layout rm wide\n"
    )
    world.run("layout", "rm", "wide")
    assert world.run("layout", "show", "wide").count("role:") == 4
    assert world.run("layout", "apply", "review", slug) == f"{slug}: now in layout review\n"
    assert {**before, "diff": _panes(world, slug)["diff"]} == _panes(world, slug)
    world.run("layout", "apply", "mine", "--close", "--slug", slug)
    assert _panes(world, slug) == before
    first = world.run("layout", "show", "mine")
    world.run("layout", "save", "again", "--slug", slug)
    assert world.run("layout", "show", "again") == first
    assert {"name": "mine", "origin": "user"}.items() <= json.loads(world.run("layout", "list", "--json"))[
        2
    ].items()

    (world.config / "layouts" / "commands.yaml").write_text(_COMMANDS)
    world.run("layout", "apply", "commands", "--slug", slug)
    until(lambda: "it runs in /workspace" in world.pane(slug, "command"), "the command in the bottle")
    world.run("layout", "save", "mine", "--force", "--session")
    assert "echo it runs in $PWD" in world.run("layout", "show", "mine")
    assert slug in world.run("layout", "apply", "mine")

    assert "removed" in world.run("layout", "rm", "mine")
    assert world.try_run("layout", "rm", "mine").returncode == 4
    refused = world.try_run("layout", "rm", "review")
    assert (refused.returncode, "shipped" in refused.stderr) == (2, True)
    assert world.try_run("layout", "save", "../x").returncode == 2


def test_close_never_ends_the_agent(world: World) -> None:
    slug = world.start("shell")
    (world.config / "layouts").mkdir(exist_ok=True)
    (world.config / "layouts" / "noagent.yaml").write_text("windows: [{panes: [{role: shell}]}]\n")
    refused = world.try_run("layout", "apply", "noagent", "--close", "--slug", slug)
    assert (refused.returncode, "would end" in refused.stderr) == (2, True)
    assert "agent" in _panes(world, slug)
