"""Whatever is killed leaves a state that ``status`` names and ``resume`` or ``cleanup`` mends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.world import kill, until

if TYPE_CHECKING:
    from tests.e2e.world import World

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux]


def state(world: World, slug: str) -> str:
    return str(world.status(slug)["state"])


def answers(world: World, slug: str) -> bool:
    """Whether the bottle runs commands and its proxy refuses what it should."""
    script = "curl -s -o /dev/null -w '%{http_connect}' https://example.com/; exit 0"
    return world.try_run("exec", slug, "--", "sh", "-c", script).stdout == "403"


def assert_mended(world: World, slug: str) -> None:
    assert state(world, slug) in {"starting", "working", "idle"}
    assert answers(world, slug)
    assert not world.is_dead(slug, "agent")
    assert not world.is_dead(slug, "shell")


def kill_agent(world: World, slug: str) -> None:
    """Kill the program of the agent's pane, and not the shell beside it."""
    command = ("exec", slug, "--", "pkill", "-KILL", "-xf", "bash -l")
    until(lambda: world.try_run(*command).returncode == 0, "the agent's start")
    until(lambda: world.is_dead(slug), "the end of the agent")


def own_pids(world: World) -> set[int]:
    return {process.pid for process in world.own_processes()}


def test_killed_supervisor(shell: World) -> None:
    slug = shell.start("shell")
    report = shell.report(slug)
    kill([report["supervisor_pid"]])
    until(lambda: not _exists(report["init_pid"]), "the end of the bottle with its supervisor")
    until(lambda: not _exists(report["services"]["egress"]["pid"]), "the end of egress with its supervisor")
    row = shell.status(slug)
    assert row["state"] == "broken"
    assert "supervisor" in row["reason"]
    assert shell.run("list", "active") == ""

    shell.run("resume", slug, "--detach")
    assert_mended(shell, slug)
    shell.run("stop", slug)
    assert list(shell.project.iterdir()) == []


def test_killed_supervisor_leaves_what_cleanup_removes(shell: World) -> None:
    slug = shell.start("shell")
    kill([shell.report(slug)["supervisor_pid"]])
    until(lambda: state(shell, slug) == "broken", "the state broken")
    assert slug in shell.run("cleanup", "--yes")
    assert state(shell, slug) == "exited"
    assert list(shell.project.iterdir()) == []
    assert "nothing to clean up" in shell.run("cleanup", "--yes")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_killed_egress_is_started_again(shell: World) -> None:
    slug = shell.start("shell")
    first = shell.report(slug)["services"]["egress"]["pid"]
    kill([first])
    until(lambda: shell.report(slug)["services"]["egress"]["pid"] not in {0, first}, "another egress")
    assert shell.report(slug)["services"]["egress"]["restarts"] == 1
    assert answers(shell, slug)
    assert shell.status(slug)["services"]["egress"] == "running, restarted 1 times"


def test_stopped_egress_means_no_network(shell: World) -> None:
    slug = shell.start("shell")
    pid = shell.report(slug)["services"]["egress"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        done = shell.try_run("exec", slug, "--", "curl", "-sS", "-m", "1", "https://example.com/")
        assert done.returncode == 28
    finally:
        os.kill(pid, signal.SIGCONT)
    assert answers(shell, slug)


def test_killed_tmux_server(shell: World) -> None:
    slug = shell.start("shell")
    kill([int(shell.tmux("display-message", "-p", "#{pid}"))])
    until(lambda: shell.tmux("list-sessions") == "", "the end of the tmux server")
    row = shell.status(slug)
    assert row["state"] == "broken"
    assert "window" in row["reason"]
    assert slug in shell.run("list", "active")
    assert shell.run("resume", slug, "--detach").strip() == f"{slug}: window opened again"
    assert_mended(shell, slug)


def test_window_closed_by_hand(shell: World) -> None:
    slug = shell.start("shell")
    other = shell.start("shell")
    shell.tmux("kill-window", "-t", shell.pane_id(slug))
    assert state(shell, slug) == "broken"
    assert state(shell, other) in {"starting", "working", "idle"}
    shell.run("resume", slug, "--detach")
    assert_mended(shell, slug)


def test_killed_agent_is_started_again_in_its_pane(shell: World) -> None:
    slug = shell.start("shell")
    pane = shell.pane_id(slug)
    kill_agent(shell, slug)
    row = shell.status(slug)
    assert row["state"] == "exited"
    assert "137" in row["reason"]
    assert shell.run("resume", slug, "--detach").strip() == f"{slug}: agent started again"
    assert shell.pane_id(slug) == pane
    assert_mended(shell, slug)


def test_stop_while_the_agent_is_dead(shell: World) -> None:
    slug = shell.start("shell")
    kill_agent(shell, slug)
    shell.run("stop", slug)
    assert state(shell, slug) == "exited"
    assert shell.tmux("list-panes", "-a") == ""


def commands_in_forks(shell: World) -> list[int]:
    """Return the forks of the zygote that run a command; those that are sidecars have names of their own."""
    zygotes = {process.pid for process in shell.own_processes() if b"sidecars.zygote" in process.cmdline}
    found: list[int] = []
    for pid in zygotes:
        with contextlib.suppress(OSError):
            name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
            if int(rest.split()[1]) in zygotes and not name.startswith("bm-"):
                found.append(pid)
    return found


# From the first moment of a start to where all of it is done, which takes about half a second.
@pytest.mark.parametrize("moment_s", [0.04, 0.1, 0.2, 0.35, 0.5])
def test_killed_launcher(shell: World, moment_s: float) -> None:
    survivor = shell.start("shell")
    launcher = subprocess.Popen(
        shell.argv("start", "shell", "--yes", "--detach"), cwd=shell.project, env=shell.environ,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(moment_s)  # the moment itself is what is tried
    launcher.kill()
    launcher.wait()
    until(lambda: not commands_in_forks(shell), "the end of what the launcher had run for it")

    for row in json.loads(shell.run("status", "--json")):
        slug = row["slug"]
        if slug == survivor:
            continue
        until(lambda slug=slug: state(shell, slug) != "starting", "a state that says how the start ended")
        shell.run("resume", slug, "--detach")
        assert_mended(shell, slug)
        shell.run("stop", slug)
        shell.run("rm", slug)
    assert_mended(shell, survivor)
    shell.run("stop", survivor)
    shell.run("cleanup", "--yes")
    # A draft of a record that was killed is left to whoever may still be writing it, for a minute.
    assert [name for name in os.listdir(shell.state / "bottles") if not name.startswith(".")] == [survivor]
    assert list(shell.project.iterdir()) == []


def test_killed_zygote_takes_no_bottle_with_it(shell: World) -> None:
    slug = shell.start("shell")
    bottle = shell.report(slug)
    mine = {bottle["supervisor_pid"], bottle["init_pid"], bottle["services"]["egress"]["pid"]}
    zygotes = {
        process.pid for process in shell.own_processes() if b"sidecars.zygote" in process.cmdline
    } - mine
    assert zygotes
    kill(zygotes)
    assert_mended(shell, slug)
    assert_mended(shell, shell.start("shell"))


def test_nothing_is_left_after_stop(shell: World) -> None:
    slug = shell.start("shell")
    report = shell.report(slug)
    shell.run("stop", slug)
    gone = {report["supervisor_pid"], report["init_pid"], report["services"]["egress"]["pid"]}
    assert not gone & own_pids(shell)
    assert not (shell.state / "run" / slug).exists()
    assert list(shell.project.iterdir()) == []
    assert "nothing to clean up" in shell.run("cleanup", "--yes")


def test_output_waits_for_a_slow_reader(shell: World) -> None:
    """What fits into the pipes between lets the program end before anybody reads."""
    (shell.project / "much").write_bytes(b"x" * 200_000)
    slug = shell.start("shell")
    with subprocess.Popen(
        shell.argv("exec", slug, "--", "sh", "-c", "cat much; touch done"), cwd=shell.project, env=shell.environ,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    ) as command:  # fmt: skip
        until((shell.project / "done").exists, "the end of the program")
        time.sleep(0.2)  # for the code of its end to arrive before its output is taken
        assert command.stdout is not None
        assert len(command.stdout.read()) == 200_000


def test_locale_c_and_base_index_1(shell: World) -> None:
    settings = ("base-index 1", "pane-base-index 1", "destroy-unattached on")
    (shell.home / ".tmux.conf").write_text("".join(f"set -g {setting}\n" for setting in settings))
    slug = shell.start("shell", LC_ALL="C", LANG="C")
    assert shell.status(slug)["state"] in {"starting", "working", "idle"}
    shell.run("exec", slug, "--", "sh", "-c", "echo grüße > note", LC_ALL="C")
    assert (shell.project / "note").read_text() == "grüße\n"
    shell.run("stop", slug, LC_ALL="C")
    shell.run("resume", slug, "--detach", LC_ALL="C")
    assert_mended(shell, slug)
