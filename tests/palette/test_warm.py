"""The palette in a fork of the warm process: the same program, on the terminal of the client that asked for it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bottlemux.lifecycle.warming import warm_up

from .conftest import living, processes_of, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.lifecycle.context import Context

    from .conftest import Screen

pytestmark = pytest.mark.tmux


@pytest.fixture
def warm(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the warm process run, with all that it loads for the palette."""
    monkeypatch.setenv("HOME", context.environ["HOME"])
    warm_up(context)


def _forks(context: Context) -> list[int]:
    """Return the forks: they have no program of their own, so they are still called as their parent."""
    pids = processes_of(Path(context.environ["HOME"]))
    found: list[int] = []
    for pid in pids:
        with suppress(OSError):
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            if parent in pids and b"sidecars.zygote" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def test_it_runs_in_a_fork_follows_the_terminals_size_and_leaves_nothing(
    screen: Callable[..., Screen], context: Context, warm: None
) -> None:
    one = screen((80, 24))
    one.run(context.quick_argv("palette", "--here"), cwd=context.cwd)
    one.shows("start demo")
    assert len(_forks(context)) == 1
    assert "│" not in one.text()
    one.tmux("resize-window", "-x", "120", "-y", "30")
    one.shows("│")
    one.type("docto")
    one.shows("> doctor")
    one.keys("Escape")
    assert one.dead() == "0"
    until(lambda: not _forks(context))


def test_what_is_chosen_takes_over_the_terminal(
    screen: Callable[..., Screen], context: Context, warm: None, make_bottle: Callable[[], str]
) -> None:
    slug = make_bottle()
    with living(context, slug):
        one = screen()
        one.run(context.quick_argv("palette", "--here"), cwd=context.cwd)
        one.shows(f"go to {slug}")
        one.type("audit of")
        one.keys("Enter")
        one.shows("bottlemux / audit")
        one.keys("Enter")
        command = Path("/proc", one.tmux("display-message", "-p", "#{pane_pid}").strip(), "cmdline")
        until(lambda: command.read_bytes().split(b"\0")[-4:-1] == [b"audit", slug.encode(), b"-f"])
        until(lambda: not _forks(context))


def test_a_client_that_is_killed_takes_its_palette_with_it(
    screen: Callable[..., Screen], context: Context, warm: None
) -> None:
    one = screen()
    one.run(context.quick_argv("palette", "--here"), cwd=context.cwd)
    one.shows("start demo")
    os.kill(int(one.tmux("display-message", "-p", "#{pane_pid}")), signal.SIGKILL)
    until(lambda: not _forks(context))


def test_without_the_warm_process_the_ordinary_way_is_taken(
    screen: Callable[..., Screen], context: Context
) -> None:
    one = screen()
    one.run(context.quick_argv("palette", "--here"), cwd=context.cwd)
    one.shows("start demo")
    one.keys("Escape")
    assert one.dead() == "0"
