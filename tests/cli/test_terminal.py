"""What commands look like at a terminal: nothing wider than it, colours there alone, a line of its own after Ctrl-C."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.world import World, until
from tests.session.conftest import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux]
SMALL = ("-x", "80", "-y", "24")


class Shell:
    """A shell in a window of 80x24 of the world's tmux."""

    def __init__(self, world: World) -> None:
        self.world = world
        # Without a file of settings, and without the workspace's own options.
        world.tmux(
            "-f",
            os.devnull,
            "new-session",
            "-d",
            "-s",
            "small",
            *SMALL,
            "-c",
            str(world.project),
            "-e",
            "PS1=> ",
            "bash --norc -i",
        )
        until(lambda: self.screen().startswith(">"), "a prompt")

    def screen(self, *options: str) -> str:
        return self.world.tmux("capture-pane", "-p", *options, "-t", "=small:")

    def type(self, *words: str) -> None:
        """Type a command on a screen without what an earlier one left: its prompt would be taken for the next."""
        self.world.tmux("send-keys", "-R", "-t", "=small:")
        self.world.tmux("send-keys", "-t", "=small:", "-l", " ".join(["clear &&", *self.world.argv(*words)]))
        self.world.tmux("send-keys", "-t", "=small:", "Enter")

    def run(self, *words: str, end: str = "\n> ") -> str:
        """Type a command, and return the screen once the prompt is back."""
        self.type(*words)
        until(
            lambda: "clear &&" not in self.screen() and end in f"{self.screen().rstrip()} ",
            f"the end of {words}",
        )
        return self.screen("-e")


SLOW_TEAM = """
windows:
  - {agent: slow, panes: [{role: agent}]}
  - {agent: nobody, panes: [{role: agent}]}
  - {agent: quick, panes: [{role: agent}]}
"""


@pytest.fixture
def shell(world: World) -> Iterator[Shell]:
    yield Shell(world)
    world.tmux("kill-session", "-t", "=small")


def test_status_says_why_in_full_at_80_columns(world: World, slug: str, shell: Shell) -> None:
    shell.run("status")
    heading, row, *more = shell.screen("-J").splitlines()
    assert heading.startswith("SLUG")
    assert row.startswith(slug)
    assert max(map(len, (heading, row, *more))) <= 80
    # Either the reason ends the row, or it stands below it.
    assert heading.endswith("WHY") != more[0].startswith("  ")


def test_doctor_is_coloured_at_a_terminal_unless_that_is_not_wanted(world: World, shell: Shell) -> None:
    assert "\x1b[32mok" in shell.run("doctor").replace("\x1b[39m", "")
    world.tmux("send-keys", "-t", "=small:", "-l", "export NO_COLOR=1")
    world.tmux("send-keys", "-t", "=small:", "Enter")
    assert "\x1b[32m" not in shell.run("doctor")


def test_a_person_is_told_that_there_is_nothing(world: World, shell: Shell) -> None:
    assert "no agent asks for anything" in shell.run("approvals", "list")
    assert world.try_run("approvals", "list").stderr == ""


NOTHING = {
    "stop --all": "no bottle runs",
    "list": "no bottle runs",
    "rm --all": "no bottle has ended",
    "list resumable": "no bottle has ended",
}


def test_what_there_is_none_of_is_named(tmp_path: Path) -> None:
    empty = World(tmp_path)
    try:
        shell = Shell(empty)
        for command, told in NOTHING.items():
            assert shell.run(*command.split()).startswith(f"{told}\n>"), command
    finally:
        empty.close()


def test_ctrl_c_at_the_question_starts_nothing(world: World, slug: str, shell: Shell) -> None:
    before = world.run("list", "active")
    shell.run("start", "shell", end="[y/N] ")
    world.tmux("send-keys", "-t", "=small:", "C-c")
    until(lambda: shell.screen().rstrip().endswith("\n>"), "the prompt on a line of its own")
    assert "\nbottlemux: interrupted: nothing was started\n>" in shell.screen().rstrip()
    assert world.run("list", "active") == before


def test_the_only_copy_of_an_agents_work_is_not_removed_without_a_question(
    world: World, shell: Shell
) -> None:
    (world.project / "file").write_text("one\n")
    slug = world.start("shell", "--workspace", "copy")
    world.run("stop", slug)
    shell.run("rm", slug, end="[y/N] ")
    world.tmux("send-keys", "-t", "=small:", "n", "Enter")
    until(lambda: "nothing was removed" in shell.screen(), "the answer")
    assert world.bottle(slug).exists()
    assert "no bottle 'nothing-00000'" in world.try_run("rm", slug, "nothing-00000").stderr
    assert world.bottle(slug).exists()
    world.run("rm", slug)
    assert not world.bottle(slug).exists()


def test_nobody_is_asked_about_a_bottle_that_runs(world: World, shell: Shell) -> None:
    (world.project / "file").write_text("one\n")
    slug = world.start("shell", "--workspace", "copy")
    screen = shell.run("rm", slug)
    assert f"{slug} is running" in screen
    assert "[y/N]" not in screen
    world.run("stop", slug)
    world.run("rm", slug)


def test_going_to_the_workspace_from_a_pane_that_nobody_looks_at(
    world: World, slug: str, shell: Shell
) -> None:
    shell.run("resume", slug)
    assert "no current client" in shell.screen()
    assert "unexpected" not in shell.screen()


@pytest.mark.parametrize("command", ["help", "help names", "help actions", "keys show"])
def test_text_breaks_between_words_at_80_columns(shell: Shell, command: str) -> None:
    shell.run(*command.split())
    together = shell.screen("-J", "-S", "-").splitlines()
    assert max(map(len, together)) <= 80, "the terminal broke a line itself"
    assert max(map(len, together)) > 60


def test_listings_are_tables_with_headings_at_a_terminal(world: World, slug: str, shell: Shell) -> None:
    heading, row = shell.run("list").splitlines()[:2]
    assert heading.split() == ["BACKEND", "SLUG", "AGENT", "SERVICES"]
    assert row.index(slug) == heading.index("SLUG")
    assert world.run("list").startswith(f"bubblewrap\t{slug}\tshell\t")


def test_the_audit_is_coloured_where_that_can_be_shown(world: World) -> None:
    slug = world.start("shell")
    assert "nothing was asked of the network" in at_terminal(world, "audit", slug)
    world.run("exec", slug, "--", "sh", "-c", "curl -s http://blocked.example")
    until(lambda: world.run("audit", slug), "an audit line")
    assert "\x1b[31m" in at_terminal(world, "audit", slug)
    assert "\x1b" not in at_terminal(world, "audit", slug, TERM="dumb")
    world.run("stop", slug)


def test_the_heading_of_an_audit_breaks_between_words(world: World, slug: str) -> None:
    heading = "what this bottle asks of the network (+ allowed, x refused; Ctrl-C ends)"
    lines = at_terminal(world, "audit", slug, "-f", end="ends)\r\n").splitlines()
    assert " ".join(lines) == heading
    assert max(map(len, lines)) <= 40


def at_terminal(world: World, *words: str, end: str = "", **environ: str) -> str:
    """Return what a command writes to a terminal of 40 columns until it is over, or until ``end``."""
    terminal = Terminal(world.argv(*words), {**world.environ, "COLUMNS": "40", **environ}, (40, 24))
    try:
        if end:
            until(lambda: terminal.read(0.02).decode().endswith(end), end)
        else:
            until(lambda: not Path(f"/proc/{terminal.pid}/exe").exists(), "the end")
        return terminal.read().decode()
    finally:
        terminal.close()


def test_attach_goes_to_the_bottle_that_is_named(world: World, slug: str) -> None:
    other = world.start("shell")
    for one in (slug, other, slug):
        assert in_front_after_attach(world, one)
    world.run("stop", other)


def in_front_after_attach(world: World, slug: str) -> bool:
    terminal = Terminal(world.argv("attach", slug[:-1]), world.environ, (100, 24))
    try:
        return until(
            lambda: terminal.read(0.02) and slug in world.tmux("list-clients", "-F", "#{@bottlemux_slug}"),
            "the bottle's window in front",
        )
    finally:
        terminal.close()


def test_the_preflight_breaks_between_words_at_80_columns(world: World, shell: Shell) -> None:
    routes = "".join(f"\n    - host: a-long-name-{number}.example.com" for number in range(2))
    world.manifest(
        "bottles",
        "wide",
        f"supervise: false\nenv: {{{', '.join(f'VAR_{n}: x' for n in range(30))}}}\negress:\n  routes:{routes}",
    )
    world.manifest("agents", "wide", "bottle: wide\nprogram: [bash, --norc]")
    whole = world.run("start", "wide", "--dry-run").splitlines()
    assert max(map(len, whole)) > 80
    shell.run("start", "wide", "--dry-run")
    screen = shell.screen().rstrip().removesuffix("\n>").splitlines()
    assert "".join("".join(screen).split()) == "".join("".join(whole).split())
    # A path may be longer than a line.
    words = {word for line in whole for word in line.split()}
    assert [word for line in screen for word in line.split() if "VAR_" in word and word not in words] == []
    assert shell.screen("-J").rstrip().removesuffix("\n>").splitlines() == screen, (
        "the terminal broke a line itself"
    )


def test_what_is_told_while_something_goes_on_has_a_line_of_its_own(world: World, shell: Shell) -> None:
    world.manifest(
        "bottles", "slow",
        "supervise: false\negress: {routes: [{host: example.com, token_ref: 'command:sh -c \"sleep 2; echo x\"'}]}",
    )  # fmt: skip
    world.manifest("agents", "slow", "bottle: slow\nprogram: [bash, --norc]")
    world.manifest("agents", "quick", "bottle: quiet\nprogram: [bash, --norc]")
    (world.config / "layouts").mkdir(exist_ok=True)
    (world.config / "layouts" / "slow.yaml").write_text(SLOW_TEAM)
    seen: set[str] = set()

    def looks() -> bool:
        seen.update(line for line in shell.screen().splitlines() if "starting 2 agents" in line)
        return "now in layout" in shell.screen()

    shell.type("layout", "apply", "slow", "--yes")
    until(looks, "the layout")
    lines = shell.screen().splitlines()
    started = [line.removesuffix(": started") for line in lines if line.endswith(": started")]
    assert [slug.partition("-")[0] for slug in started] == ["slow", "quick"]
    assert seen
    assert {line[1:] for line in seen} == {" starting 2 agents"}
    world.run("stop", *started)
