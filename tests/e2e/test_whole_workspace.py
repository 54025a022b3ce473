"""One command brings a whole workspace back."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.world import kill, until

if TYPE_CHECKING:
    from tests.e2e.world import World

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux]


def windows(world: World) -> list[str]:
    """Return the slugs of the bottles' windows, in their order."""
    lines = world.tmux("list-windows", "-t", "=bottlemux:", "-F", "#{@bottlemux_slug}").splitlines()
    return [line for line in lines if line]


def shape(world: World, slug: str) -> list[str]:
    """Return where each pane of the window of ``slug`` is, what it is for, and which has the focus."""
    target = world.pane_id(slug)
    form = "#{pane_left},#{pane_top} #{pane_width}x#{pane_height} #{@bottlemux_role} #{pane_active}"
    return world.tmux("list-panes", "-t", target, "-F", form).splitlines()


def window_of(world: World, slug: str) -> str:
    return world.tmux("display-message", "-p", "-t", world.pane_id(slug), "#{window_id}").strip()


def lose_everything(world: World) -> None:
    for _ in range(2):
        kill(process.pid for process in world.own_processes())


def rearrange(world: World, first: str, last: str) -> None:
    """Do what a user does with tmux's own keys."""
    world.tmux("swap-window", "-d", "-s", window_of(world, first), "-t", window_of(world, last))
    world.tmux("resize-pane", "-t", world.pane_id(last), "-x", "40")
    world.tmux("select-pane", "-t", world.pane_id(last, "shell"))
    world.tmux("rename-window", "-t", window_of(world, last), "parser")
    world.tmux("select-window", "-t", window_of(world, last))


@pytest.mark.parametrize("lost", ["tmux", "everything"])
def test_windows_come_back_as_they_were(shell: World, lost: str) -> None:
    slugs = [shell.start("shell") for _ in range(3)]
    rearrange(shell, slugs[0], slugs[2])
    other = shell.start("shell")
    shell.run("stop", other)
    order, shapes = windows(shell), [shape(shell, slug) for slug in slugs]
    assert order == [slugs[2], slugs[1], slugs[0]]

    shell.tmux("kill-server")
    if lost == "everything":
        lose_everything(shell)
    dry = shell.run("resume", "--all", "--dry-run")
    assert dry.count("window would be opened" if lost == "tmux" else "was lost; would be started again") == 3
    assert f"{other}: was stopped by you" in dry
    assert windows(shell) == []

    said = shell.run("resume", "--all", "--detach")
    assert [line.partition(":")[0] for line in said.splitlines()] == [*order, other]
    assert windows(shell) == order
    assert [shape(shell, slug) for slug in slugs] == shapes
    current = shell.tmux("display-message", "-p", "-t", "=bottlemux:", "#{@bottlemux_slug} #{window_name}")
    assert current.split()[0] == slugs[2]
    assert "parser" in current
    for slug in slugs:
        assert shell.run("exec", slug, "--", "echo", "here").strip() == "here"
        assert not shell.is_dead(slug)
    assert shell.status(other)["state"] == "exited"


def test_one_that_cannot_come_back_stops_no_other(shell: World) -> None:
    shell.manifest("agents", "doomed", "bottle: plain\nprogram: [bash, -l]")
    good, bad, stopped = shell.start("shell"), shell.start("doomed"), shell.start("shell")
    shell.run("stop", stopped)
    lose_everything(shell)
    (shell.config / "agents" / "doomed.md").unlink()
    (shell.state / "bottles" / stopped / "metadata.json").write_text("no record")
    listed = {
        line.split("\t")[1]: line.split("\t")[4] for line in shell.run("list", "resumable").splitlines()
    }
    assert listed == {good: "lost", bad: "lost"}

    for words in (("--dry-run",), ("--detach",)):
        done = shell.try_run("resume", "--all", *words)
        assert done.returncode != 0
        assert good in done.stdout
        assert f"error: {bad}: no agent 'doomed'" in done.stderr
        assert f"error: {stopped}: " in done.stderr
    assert windows(shell) == [good]
    assert shell.status(good)["state"] != "broken"
    assert shell.run("list", "active").count("\n") == 1


def test_a_crashed_bottle_comes_back_in_its_window(shell: World) -> None:
    first, second = shell.start("shell"), shell.start("shell")
    before, panes = window_of(shell, first), shape(shell, first)
    kill([shell.report(first)["supervisor_pid"]])
    until(lambda: shell.is_dead(first) and shell.is_dead(first, "shell"), "the end of the panes")
    assert "started again" in shell.run("resume", "--all", "--detach")
    assert window_of(shell, first) == before
    assert windows(shell) == [first, second]
    assert shape(shell, first) == panes
    assert not shell.is_dead(first)
    assert not shell.is_dead(first, "shell")


def test_stop_while_it_is_killed_is_still_the_operators_wish(shell: World) -> None:
    slug = shell.start("shell")
    files = shell.bottle(slug)
    stopping = subprocess.Popen(shell.argv("stop", slug), env=shell.environ, cwd=shell.project)
    until((files / "stopped").exists, "the record of the stop")
    lose_everything(shell)
    stopping.wait()
    assert f"{slug}: was stopped by you" in shell.run("resume", "--all", "--detach")
    assert shell.run("list", "active") == ""
    shell.run("resume", slug, "--detach")
    assert not (files / "stopped").exists()
    lose_everything(shell)
    assert f"{slug}: started again" in shell.run("resume", "--all", "--detach")


def test_damaged_records_are_passed_over(shell: World) -> None:
    slug = shell.start("shell")
    shell.tmux("kill-server")
    for path in (shell.state / "workspace.json", shell.bottle(slug) / "window.json"):
        path.write_text(
            '{"schema_version": 1, "order": [{}, "../x"], "window": {"panes": [{"role": "boss"}]}}'
        )
    assert f"{slug}: window opened again" in shell.run("resume", "--all", "--detach")
    assert not shell.is_dead(slug)


def test_a_credential_that_is_not_set_here_is_named(shell: World) -> None:
    route = "{host: api.example.com, token_ref: SOME_TOKEN}"
    shell.manifest("bottles", "plain", f"backend: bubblewrap\negress: {{routes: [{route}]}}")
    slug = shell.start("shell", SOME_TOKEN="a-token-of-the-tests")
    lose_everything(shell)
    missing = "started again, without SOME_TOKEN: not set here"
    assert missing in shell.run("resume", "--all", "--dry-run")
    assert "without" not in shell.run("resume", "--all", "--dry-run", SOME_TOKEN="a-token-of-the-tests")
    assert f"{slug}: {missing}" in shell.run("resume", "--all", "--detach")


def test_where_nothing_comes_back_it_is_said_and_stays_on_the_screen(shell: World) -> None:
    slug = shell.start("shell")
    shell.run("stop", slug)
    shell.tmux("-f", os.devnull, "new-session", "-d", "-s", "bottlemux", "-x", "150", "-y", "40", "sh")
    typed = " ".join([*shell.argv("resume", "--all"), ";", "echo co''de $?"])
    shell.tmux("send-keys", "-t", "=bottlemux:", typed, "Enter")
    screen = lambda: shell.tmux("capture-pane", "-p", "-J", "-t", "=bottlemux:")  # noqa: E731
    until(lambda: "code 0" in screen(), "the end of the command")
    assert f"{slug}: was stopped by you" in screen()
    assert "client" not in screen(), "it went on to the workspace"
