"""The dashboard in its place: window 0 of a real workspace with real bottles."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from bottlemux.dashboard.desk import READ_S

from .conftest import OWN, routes, until
from .test_terminal import click, mouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bottlemux.lifecycle.context import Context
    from sidecars.supervise.proposal import Proposal

    from .conftest import Screen

    type Screens = Callable[..., Screen]

pytestmark = [pytest.mark.tmux, pytest.mark.bwrap]


class Inner:
    """The workspace's tmux server, seen from outside."""

    def __init__(self, context: Context, socket_name: str) -> None:
        self._context, self._socket = context, socket_name

    def tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-u", "-L", self._socket, *words], capture_output=True, text=True, timeout=20, check=True
        )
        return done.stdout.strip()

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [*OWN, *words], env=dict(self._context.environ), cwd=self._context.cwd, capture_output=True, text=True,
            timeout=90, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def at(self) -> str:
        """Return the bottle, or the role, of the window that is shown."""
        return self.tmux(
            "display-message",
            "-p",
            "-t",
            "=bottlemux:",
            "#{@bottlemux_slug}#{?#{@bottlemux_slug},,#{@bottlemux_role}}",
        )

    def dashboard(self) -> None:
        self.tmux("select-window", "-t", "=bottlemux:{start}")

    def name_of(self, slug: str) -> str:
        lines = self.tmux("list-windows", "-t", "=bottlemux:", "-F", "#{@bottlemux_slug} #{window_name}")
        return next((line.split(" ", 1)[1] for line in lines.splitlines() if line.startswith(slug)), "")


@pytest.fixture
def inner(context: Context, socket_name: str) -> Iterator[Inner]:
    yield Inner(context, socket_name)
    subprocess.run([*OWN, "stop", "--all"], env=dict(context.environ), capture_output=True, timeout=90)


def test_a_whole_life(screen: Screens, context: Context, inner: Inner) -> None:
    """Start from the first screen, stop, resume and go by keys and mouse, and bring a killed dashboard back."""
    one = screen((100, 30))
    one.run([*OWN, "attach"], cwd=context.cwd)
    one.shows("No bottle yet.")
    one.keys("n")
    one.shows("bottlemux / start")
    one.type("demo")
    one.hides("start claude")
    assert "doctor" not in one.shows("> start demo")
    one.keys("Tab")
    one.shows("Start it? [y/N]")
    one.keys("y")
    until(context.store.identities)
    (slug,) = context.store.identities()
    until(lambda: inner.at() == slug, one.text)

    inner.dashboard()
    one.shows(f"> {''}")
    one.shows(slug)
    one.keys("s")
    one.shows("Stop it? [y/N]")
    one.keys("y")
    one.shows(f"{slug}: stopped")
    one.shows("exited")
    assert inner.at() == "dashboard"
    one.keys("R")
    one.shows(f"resume {slug}: started again, Enter goes there")
    one.hides("exited")
    one.keys("R")
    one.shows(f"resume {slug}: running already, Enter goes there")
    one.keys("Enter")
    until(lambda: inner.at() == slug, one.text)

    inner.dashboard()
    one.shows("CPU")
    click(one, slug, times=2)
    until(lambda: inner.at() == slug, one.text)

    inner.dashboard()
    os.kill(int(inner.tmux("list-panes", "-t", "=bottlemux:{start}", "-F", "#{pane_pid}")), 9)
    until(
        lambda: inner.tmux("list-panes", "-t", "=bottlemux:{start}", "-F", "#{pane_dead}").strip() == "1",
        one.text,
    )
    # tmux 3.3a does not always notice at once that a child was killed; the end of another one has it look at all.
    inner.tmux("run-shell", "true")
    one.shows("the dashboard ended")
    again = screen((100, 30))
    again.run([*OWN, "attach"], cwd=context.cwd)
    fields = ("-f", "#{==:#{@bottlemux_role},dashboard}", "-F", "#{pane_dead}")
    until(lambda: inner.tmux("list-panes", "-a", *fields) == "0", one.text)
    one.shows("CPU")


def test_it_keeps_window_names_true_and_approves_for_a_running_bottle(
    screen: Screens, context: Context, inner: Inner, ask: Callable[..., Proposal]
) -> None:
    slug = inner.run("start", "demo", "--yes", "--detach").splitlines()[-1]
    one = screen((100, 40))
    one.run([*OWN, "attach"], cwd=context.cwd)
    one.shows("[bottlemux")
    until(lambda: inner.at() == slug, one.text)
    inner.dashboard()
    one.shows(slug)
    ask(slug)
    until(lambda: "1" in inner.name_of(slug).split(slug)[0], lambda: inner.name_of(slug))
    one.shows("routes if approved")
    time.sleep(READ_S)
    one.keys("a")
    one.shows("may now do what it asked for")
    assert routes(context, slug) == ["new.example.com"]
    until(lambda: "1" not in inner.name_of(slug).split(slug)[0], lambda: inner.name_of(slug))


def test_logs_and_changes_come_in_a_popup_that_says_how_it_goes_again(
    screen: Screens, context: Context, inner: Inner
) -> None:
    slug = inner.run("start", "demo", "--yes", "--detach").splitlines()[-1]
    one = screen((100, 30))
    one.run([*OWN, "attach"], cwd=context.cwd)
    one.shows("[bottlemux")
    until(lambda: inner.at() == slug, one.text)
    inner.dashboard()
    one.shows("CPU")
    one.keys("d")
    one.shows("itself, which has no history")
    one.keys("Escape")
    subprocess.run(["git", "init", "-q", str(context.cwd)], check=True, timeout=20)
    for key, shown in (("l", "egress:"), ("d", "nothing was changed")):
        one.keys(key)
        one.shows(shown)
        one.shows("─ Ctrl-C ends ─")
        one.keys("C-c")
        one.hides("┌")
    one.shows("CPU")
    mouse(one, 0, 1, 2)
    assert inner.at() == "dashboard"


def test_agents_are_given_a_prompt_from_here(screen: Screens, context: Context, inner: Inner) -> None:
    slug = inner.run("start", "demo", "--yes", "--detach").splitlines()[-1]
    one = screen((100, 30))
    one.run([*OWN, "attach"], cwd=context.cwd)
    one.shows("[bottlemux")
    until(lambda: inner.at() == slug, one.text)
    inner.dashboard()
    one.shows("CPU")
    one.keys("P")
    one.shows(f"> [ ] {slug}")
    one.keys("Enter")
    one.shows("prompt / text")
    one.type("echo sum $((40 + 2))")
    one.keys("Enter")
    one.shows("Submit it to 1 agent? [y/N]")
    one.keys("y")
    one.shows(f"{slug}: handed over")
    one.keys("Escape")
    one.shows("sum 42")


def test_outside_tmux_it_lends_its_terminal(screen: Screens, context: Context, inner: Inner) -> None:
    slug = inner.run("start", "demo", "--yes", "--detach").splitlines()[-1]
    one = screen((100, 30))
    one.run([*OWN, "dashboard"], cwd=context.cwd)
    one.shows("CPU")
    one.shows("q leave")
    one.keys("l")
    one.shows("content is scanned")
    one.hides("q leave")
    one.keys("C-c")
    one.shows("q leave")
    one.keys("g")
    one.shows("[bottlemux")
    inner.tmux("detach-client", "-s", "=bottlemux")
    one.shows("q leave")
    one.keys("q")
    assert one.dead() == "0"
    assert inner.name_of(slug)


def test_switched_off_there_is_none(screen: Screens, context: Context, inner: Inner) -> None:
    context.paths.config_file.parent.mkdir(parents=True, exist_ok=True)
    context.paths.config_file.write_text("[workspace]\ndashboard = false\n")
    slug = inner.run("start", "demo", "--yes", "--detach").splitlines()[-1]
    assert inner.tmux("list-windows", "-t", "=bottlemux:", "-F", "#{@bottlemux_slug}") == slug
    inner.run("stop", slug)


def test_after_the_last_stop_nothing_is_left(context: Context, inner: Inner, socket_name: str) -> None:
    slug = inner.run("start", "demo", "--yes", "--detach").splitlines()[-1]
    assert len(inner.tmux("list-windows", "-t", "=bottlemux:").splitlines()) == 2
    inner.run("stop", slug)
    gone = subprocess.run(["tmux", "-L", socket_name, "list-sessions"], capture_output=True, text=True)
    assert gone.returncode != 0, gone.stdout
