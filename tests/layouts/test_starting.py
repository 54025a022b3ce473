"""Layouts of a whole session start the bottles they name, with real bottles."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bottlemux.session.layout_files import load_layout
from tests.e2e.world import World, until
from tests.session.conftest import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux]

TEAM = """
windows:
  - agent: writer
    window_name: the writer
    tree: {columns: [{ratio: 3}, {ratio: 1}]}
    panes: [{role: agent}, {argv: [sleep, "1000"]}]
  - agent: nobody
    panes: [{role: agent}]
  - agent: reader
    args: [-c, "echo arguments $0; exec sleep 1000", "two words;"]
    focus: true
    panes: [{role: shell}, {role: agent, focus: true}]
"""

ROLES = """
windows:
  - agent: writer
    panes: [{role: agent}]
  - agent: reader
    panes: [{role: agent}]
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    user = World(tmp_path)
    user.manifest("bottles", "quiet", "supervise: false", "Nothing out.")
    user.manifest("agents", "writer", "bottle: quiet\nprogram: [bash, --norc]", "A shell.")
    user.manifest("agents", "reader", "bottle: quiet\nprogram: [bash]", "A shell.")
    (user.config / "layouts").mkdir()
    (user.config / "layouts" / "team.yaml").write_text(TEAM)
    yield user
    user.close()


def windows(world: World) -> list[str]:
    lines = world.tmux(
        "list-windows", "-t", "bottlemux", "-F", "#{window_name}|#{window_active}"
    ).splitlines()
    return [line.lstrip("»?… ") for line in lines if not line.startswith("dashboard|")]


def test_what_is_named_is_started_and_what_fails_stops_no_other(world: World) -> None:
    refused = world.try_run("layout", "apply", "team")
    assert (refused.returncode, "no terminal to confirm" in refused.stderr) == (2, True)
    assert '==== window 1 "the writer", writer: new' in refused.stdout
    assert world.run("list", "active") == ""

    done = world.try_run("layout", "apply", "team", "--yes")
    assert done.returncode == 4, done.stderr
    assert "window 2, nobody: no agent 'nobody'" in done.stderr
    assert windows(world) == [
        "the writer|0",
        f"{slug_of(world, 'reader')}|1",
    ]
    reader, writer = slug_of(world, "reader"), slug_of(world, "writer")
    world.wait_for_text(reader, "arguments two words;")
    assert world.pane_id(writer, "command")

    # Again: nothing is started twice; and what was stopped comes back as it was.
    before = world.run("list", "active")
    assert world.try_run("layout", "apply", "team", "--yes").returncode == 4
    assert world.run("list", "active") == before
    world.run("layout", "save", "friday", "--session")
    first = load_layout(world.config / "layouts" / "friday.yaml")
    assert [window.slug for window in first.windows] == [writer, reader]
    world.run("stop", "--all")
    done = world.try_run("layout", "apply", "friday", "--yes")
    assert (done.returncode, f'==== window 1 "the writer", {writer}: brought back' in done.stdout) == (
        0,
        True,
    ), done.stderr
    world.run("layout", "save", "again", "--session")
    assert load_layout(world.config / "layouts" / "again.yaml") == first
    # The window of each is found again by a later resume.
    world.run("stop", reader)
    world.run("resume", reader, "--detach")
    roles = world.tmux("list-panes", "-s", "-t", "bottlemux", "-F", "#{@bottlemux_slug} #{@bottlemux_role}")
    assert [line for line in roles.splitlines() if line.startswith(reader)] == [
        f"{reader} shell",
        f"{reader} agent",
    ]


def slug_of(world: World, agent: str) -> str:
    lines = [line.split("\t") for line in world.run("list", "active").splitlines()]
    return next(slug for _, slug, name, _ in lines if name == agent)


def test_a_projects_layout_needs_the_operator(world: World, tmp_path: Path) -> None:
    directory = world.project / ".bottlemux" / "layouts"
    directory.mkdir(parents=True)
    (directory / "theirs.yaml").write_text(ROLES)
    refused = world.try_run("layout", "apply", "theirs", "--yes")
    assert (refused.returncode, "starts nothing without a question" in refused.stderr) == (2, True), refused
    assert world.run("list", "active") == ""

    terminal = Terminal(
        [
            "sh",
            "-c",
            f'cd {world.project} && exec "$@"',
            "sh",
            *world.argv("layout", "apply", "theirs", "--yes"),
        ],
        {**os.environ, **world.environ},
        (100, 40),
    )
    try:
        terminal.shows("Start these 2? [y/N]")
        terminal.type(b"n\r")
        terminal.shows("nothing was started")
    finally:
        terminal.close()
    assert world.run("list", "active") == ""


def test_a_projects_layout_reaches_no_other_directory(world: World, tmp_path: Path) -> None:
    """Neither a start elsewhere, nor a window of a bottle that works elsewhere."""
    other = tmp_path / "other"
    other.mkdir()
    slug = world.start("writer", "--cwd", str(other))
    directory = world.project / ".bottlemux" / "layouts"
    directory.mkdir(parents=True)
    (directory / "evil.yaml").write_text(
        f"windows:\n  - slug: {slug}\n    panes: [{{role: logs}}, {{role: agent}}]\n"
        f"  - panes: [{{role: logs}}, {{role: agent}}]\n"
        f"  - agent: writer\n    start_directory: {other}\n    panes: [{{role: logs}}, {{role: agent}}]\n"
    )
    done = world.try_run("layout", "apply", "evil")
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("is for that directory alone") == 2, done.stderr
    assert "no bottle is left for it" in done.stderr
    assert "logs" not in world.tmux("list-panes", "-a", "-F", "#{@bottlemux_role}").split()
    assert world.run("list", "active").count("\n") == 1


def test_attach_starts_what_a_layout_names(world: World) -> None:
    terminal = Terminal(
        ["sh", "-c", f"cd {world.project} && exec \"$@\"", "sh", *world.argv("attach", "--layout", "team")],
        {**os.environ, **world.environ}, (100, 40),
    )  # fmt: skip
    try:
        terminal.shows("Start these 2? [y/N]")
        terminal.type(b"y\r")
        until(lambda: world.tmux("list-clients", "-F", "#{session_name}"), "the client")
        assert "100x39" in world.tmux(
            "list-windows", "-t", "bottlemux", "-F", "#{window_width}x#{window_height}"
        )
    finally:
        terminal.close()


def test_a_bottle_whose_layout_is_gone_keeps_nobody_from_the_others(world: World) -> None:
    layout = world.config / "layouts" / "mine.yaml"
    layout.write_text("windows: [{panes: [{role: agent}]}]\n")
    lost, kept = world.start("writer", "--layout", "mine"), world.start("reader")
    world.tmux("kill-server")
    layout.unlink()
    (world.bottle(lost) / "window.json").unlink()
    terminal = Terminal(world.argv("attach"), {**os.environ, **world.environ}, (100, 40))
    try:
        terminal.shows(f"{lost}: no layout 'mine'")
        until(lambda: world.tmux("list-clients", "-F", "#{session_name}"), "the client")
        slugs = world.tmux("list-windows", "-t", "bottlemux", "-F", "#{@bottlemux_slug}").split()
    finally:
        terminal.close()
    assert slugs == [kept]
