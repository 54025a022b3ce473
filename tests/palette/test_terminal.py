"""The real program in a real terminal: a pane of a private tmux server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import OWN, living, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.lifecycle.context import Context

    from .conftest import Screen

pytestmark = pytest.mark.tmux

PALETTE = [*OWN, "palette"]


def processes_with(text: str) -> list[str]:
    """Return the command lines of processes whose environment or arguments hold ``text``."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            try:
                environ, line = (entry / "environ").read_bytes(), (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in environ + line:
                found.append(line.decode(errors="replace").replace("\0", " "))
    return found


def test_it_shows_filters_and_leaves_nothing_behind(
    screen: Callable[..., Screen], context: Context, socket_name: str
) -> None:
    one = screen()
    one.run(PALETTE, cwd=context.cwd)
    assert "> start " in one.shows("start demo")
    one.type("docto")
    one.shows("> doctor")
    one.hides("start demo")
    one.keys("Escape")
    assert one.dead() == "0"
    assert "doctor" not in one.text()
    assert not context.paths.state.exists()
    until(lambda: not [line for line in processes_with(socket_name) if "tmux" not in line.split(" ")[0]])


@pytest.mark.bwrap
def test_the_preview_shows_the_preflight(screen: Callable[..., Screen], context: Context) -> None:
    one = screen()
    one.run(PALETTE, cwd=context.cwd)
    one.shows("start demo")
    one.type("start demo: look around")
    text = one.shows("prompt     look around")
    assert "network    nothing" in text


@pytest.mark.parametrize("size", [(60, 15), (40, 10)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_small_terminals(screen: Callable[..., Screen], context: Context, size: tuple[int, int]) -> None:
    one = screen(size)
    one.run(PALETTE, cwd=context.cwd)
    text = one.shows("start demo")
    assert "│" not in text
    one.keys("Up")
    one.shows("> delete ...")
    one.tmux("resize-window", "-x", "120", "-y", "30")
    one.shows("│")
    one.keys("C-c")
    assert one.dead() == "0"


def test_without_a_terminal_it_says_so(environ: dict[str, str]) -> None:
    done = subprocess.run(PALETTE, env=environ, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert done.stderr.startswith("bottlemux: error: the palette needs a terminal\n")


def slow_tmux(directory: Path) -> str:
    """Return a PATH on which tmux hangs."""
    directory.mkdir()
    (directory / "tmux").write_text("#!/bin/sh\nexec sleep 30\n")
    (directory / "tmux").chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


def slow_backend(directory: Path) -> None:
    """Make a distribution whose backend takes its time to say whether it works, and then that it does not."""
    information = directory / "slow_backend-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-backend\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[bottlemux.backends]\nslow = slow_backend:create\n")
    (directory / "slow_backend.py").write_text(
        "import time\ndef create(paths):\n    time.sleep(30)\n    raise RuntimeError('never')\n"
    )


def test_a_hanging_tmux_delays_nothing(
    screen: Callable[..., Screen], context: Context, make_bottle: Callable[[], str], tmp_path: Path
) -> None:
    slug = make_bottle()
    one = screen()
    with living(context, slug):
        one.run(PALETTE, cwd=context.cwd, PATH=slow_tmux(tmp_path / "bin"))
        one.shows(f"> go to {slug}")
        one.keys("Down")
        one.shows("> start ")
        one.keys("Escape")
        assert one.dead() == "0"


def test_a_hanging_backend_delays_nothing_and_its_row_says_so(
    screen: Callable[..., Screen], context: Context, tmp_path: Path
) -> None:
    slow_backend(tmp_path / "site")
    one = screen()
    argv = [sys.executable, "-m", "bottlemux", "palette"]
    one.run(argv, cwd=context.cwd, PYTHONPATH=str(tmp_path / "site"))
    one.shows("start demo")
    one.type("start demo")
    one.keys("Enter")
    text = one.shows("still looking")
    assert "start demo / backend" in text
    assert "slow" in text
    one.keys("C-c")
    assert one.dead() == "0"


def test_hostile_text_stays_text(screen: Callable[..., Screen], context: Context) -> None:
    """What a manifest says reaches the screen escaped."""
    agents = context.cwd / ".bottlemux" / "agents"
    agents.mkdir(parents=True)
    (agents / "evil.md").write_text(
        '---\nbottle: demo\nprogram: ["sh", "-c", "\\x1b]0;pwned\\x07\\x1b[2J\\u202Egnp"]\n---\n'
    )
    one = screen()
    one.run(PALETTE, cwd=context.cwd)
    one.shows("start demo")
    one.type("start evil")
    assert "\\u202egnp" in one.shows("\\x1b]0;pwned\\x07")
    assert "pwned" not in one.tmux("display-message", "-p", "#{pane_title}")


@pytest.mark.bwrap
def test_a_whole_life(screen: Callable[..., Screen], context: Context, socket_name: str) -> None:
    """Start, be brought to the window, come back in a popup, go there, stop, delete."""
    one = screen((130, 32))
    one.run([*OWN, "attach"], cwd=context.cwd)
    one.shows("[bottlemux")
    inner = ["tmux", "-u", "-L", socket_name]

    def tmux(*words: str) -> str:
        done = subprocess.run([*inner, *words], capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.strip()

    def open_palette() -> None:
        tmux("new-window", "-t", "bottlemux:", "-c", str(context.cwd), *context.own_argv("palette"))
        one.shows("─┐")
        one.shows("start demo")

    try:
        open_palette()
        one.type("start demo")
        one.keys("Tab")
        one.shows("Start it? [y/N]")
        one.keys("y")
        one.hides("─┐")
        (slug,) = context.store.identities()
        until(lambda: tmux("display-message", "-p", "#{@bottlemux_slug}") == slug)
        panes = ("list-panes", "-a", "-F", "#{pane_id} #{pane_dead} #{pane_start_command}")
        until(lambda: "bottlemux palette" not in tmux(*panes), lambda: tmux(*panes))

        open_palette()
        one.type(f"go to {slug}")
        one.shows(f"> go to {slug}")
        one.keys("Enter")
        one.hides("─┐")
        until(lambda: tmux("display-message", "-p", "#{@bottlemux_slug}") == slug)

        open_palette()
        one.type("stop ...")
        one.keys("Enter", "Enter")
        one.shows("Stop it? [y/N]")
        one.keys("y")
        one.shows(f"{slug}: stopped")
        one.keys("Enter")
        one.shows("start demo")
        one.type("delete ...")
        one.shows("> delete ...")
        until(lambda: f"({'it is running'}" not in one.text())
        one.keys("Enter", "Enter")
        one.shows("Delete it? [y/N]")
        one.keys("y")
        one.shows(f"{slug}: removed")
        assert context.store.identities() == []
    finally:
        subprocess.run([*OWN, "stop", "--all"], env=dict(context.environ), capture_output=True, timeout=60)


@pytest.mark.bwrap
def test_a_layout_is_given_to_the_bottle_that_was_chosen(
    screen: Callable[..., Screen], context: Context, socket_name: str
) -> None:
    """Where no bottle's window is in front, which one is meant is asked."""

    def own(*words: str) -> str:
        done = subprocess.run(
            [*OWN, *words],
            env=dict(context.environ),
            cwd=context.cwd,
            capture_output=True,
            text=True,
            timeout=90,
        )
        return done.stdout

    one = screen((130, 32))
    try:
        slugs = [own("start", "demo", "--yes", "--detach").splitlines()[-1] for _ in range(2)]
        one.run([*OWN, "palette"], cwd=context.cwd)
        one.shows("start demo")
        one.type("arrange as review")
        one.shows("> arrange as review")
        one.keys("Enter")
        text = one.shows("arrange as review / bottle")
        assert all(slug in text for slug in slugs)
        one.type(slugs[1])
        one.hides(slugs[0])
        one.keys("Enter")
        one.shows("[bottlemux")
        windows = [context.workspace.require(slug) for slug in slugs]
        assert [window.pane("diff") is not None for window in windows] == [False, True]
    finally:
        own("stop", "--all")


def test_in_a_popup_it_opens_no_other(
    screen: Callable[..., Screen], context: Context, socket_name: str
) -> None:
    one = screen()
    one.run([*OWN, "attach"], cwd=context.cwd)
    one.shows("[bottlemux")
    popup = ["tmux", "-u", "-L", socket_name, "display-popup", "-E", "-d", str(context.cwd)]
    with subprocess.Popen([*popup, *context.own_argv("palette")], env=dict(context.environ)) as client:
        one.shows("start demo")
        one.keys("Escape")
        one.hides("start demo")
        assert client.wait(10) == 0
    one.shows("[bottlemux")


def test_inside_another_tmux_it_stays_in_its_pane_and_says_what_is_wrong(
    screen: Callable[..., Screen], context: Context, tmp_path: Path
) -> None:
    one = screen()
    one.run(PALETTE, cwd=context.cwd, TMUX=f"{tmp_path}/other,1,0", TMUX_PANE="%0")
    one.shows("start demo")
    one.type("attach")
    one.keys("Enter")
    text = one.shows("attach: failed")
    assert "inside another tmux" in text
    one.keys("C-c")
    assert one.dead() == "0"
