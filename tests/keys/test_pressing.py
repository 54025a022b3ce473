"""The keys, pressed on a terminal that is attached to a workspace with two bottles."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bottlemux.session.building import literal
from tests.e2e.world import World, until
from tests.session.conftest import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux]

_PREFIX, _LEADER = b"\x02", b"b"
_CONTROL_C = b"\x03"
_LISTINGS = (
    ("list-keys",), ("list-keys", "-a", "-N"), ("show-options", "-s"), ("show-options", "-g"),
    ("show-options", "-g", "-w"), ("show-hooks", "-g"),
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    user = World(tmp_path_factory.mktemp("it's a #(touch canary); state;"))
    user.manifest("bottles", "quiet", "supervise: false", "Nothing out.")
    user.manifest("agents", "shell", "bottle: quiet\nprogram: [bash, --norc]\nlayout: solo", "A shell.")
    yield user
    user.close()


@pytest.fixture(scope="module")
def slugs(world: World) -> list[str]:
    return [world.start("shell"), world.start("shell")]


@pytest.fixture
def attached(world: World, slugs: list[str]) -> Iterator[Terminal]:
    # Wide: the project's whole name has to fit in a line of the palette.
    made = Terminal(
        ["tmux", "-u", "-L", world.socket, "attach", "-t", "=bottlemux:"], world.environ, (220, 40)
    )
    until(lambda: made.read(0.02) and world.tmux("list-clients"), "a client")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def unbound(world: World) -> Iterator[None]:
    """One that failed leaves the next one no keys."""
    yield
    world.try_run("keys", "uninstall", "--force")


def _current(world: World) -> str:
    return world.tmux("display-message", "-p", "-t", "=bottlemux:", "#{@bottlemux_slug}").strip()


def _press(world: World, terminal: Terminal, key: bytes) -> None:
    """Press the prefix key, the leader and ``key``: tmux takes keys without a pause between them for pasted text."""
    until(
        lambda: not any(b"\0palette\0" in process.cmdline for process in world.own_processes()),
        "a closed popup",
    )
    until(lambda: _prefix_taken(world, terminal), "the prefix table")
    terminal.type(_LEADER)
    until(lambda: _table(world) == "bottlemux", "our table")
    terminal.type(key)


def _prefix_taken(world: World, terminal: Terminal) -> bool:
    """Press the prefix key; a popup whose program has just ended may still have it."""
    terminal.type(_PREFIX)
    deadline = time.monotonic() + 2
    while _table(world) != "prefix":
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _settings(world: World) -> list[str]:
    """Return all that tmux has bound and set, but for our own options, which the dashboard keeps true meanwhile."""
    listings = [world.tmux(*listing).splitlines() for listing in _LISTINGS]
    return ["\n".join(line for line in lines if not line.startswith("@bottlemux_")) for lines in listings]


def _table(world: World) -> str:
    return world.tmux("list-clients", "-F", "#{client_key_table}").strip()


def test_keys_do_what_the_sheet_says_and_leave_no_trace(
    world: World, slugs: list[str], attached: Terminal, tmp_path: Path
) -> None:
    before = _settings(world)
    assert "prefix b ? shows them" in world.run("keys", "install")
    assert world.try_run("keys", "install").returncode == 1
    # An agent chooses the title of its pane: no key may give it to a shell.
    canary = tmp_path / "canary"
    world.tmux(
        "select-pane",
        "-t",
        world.pane_id(slugs[0]),
        "-T",
        f"$(touch {canary})`touch {canary}`;touch {canary}",
    )

    world.tmux("select-window", "-t", world.pane_id(slugs[0]))
    _press(world, attached, b"j")
    until(lambda: _current(world) == slugs[1], "the next bottle")
    _press(world, attached, b"k")
    until(lambda: _current(world) == slugs[0], "the previous bottle")
    _press(world, attached, b"w")
    attached.shows("no bottle waits for you")

    _press(world, attached, b"?")
    attached.shows("Go to the next bottle.")
    attached.type(_CONTROL_C)
    _press(world, attached, b"i")
    attached.shows(f"status of {slugs[0]}")
    attached.shows("bubblewrap")
    attached.type(b"\r")

    world.tmux("select-window", "-t", world.pane_id(slugs[1]))
    _press(world, attached, b"x")
    attached.shows("Stop it?")
    assert slugs[1] in attached.read().decode(errors="replace")
    attached.type(b"n")

    assert world.run("keys", "uninstall") == "prefix b is as it was\n"
    assert _settings(world) == before
    assert "no keys are installed" in world.run("keys", "uninstall")
    assert not canary.exists()
    assert not [*world.home.parent.rglob("canary"), *Path("/").glob("canary")]
    assert all(world.status(slug)["state"] != "exited" for slug in slugs)


def test_the_menu_is_that_of_the_bottle_in_front(world: World, slugs: list[str], attached: Terminal) -> None:
    world.run("keys", "install")
    world.tmux("select-window", "-t", world.pane_id(slugs[0]))
    _press(world, attached, b"m")
    attached.shows(f" {slugs[0]} ")
    attached.shows("what agents ask for")
    # What does not apply is there, and says why.
    attached.shows("delete (it is running: stop it first)")
    attached.type(b"x")
    attached.shows("Stop it?")
    attached.type(b"y")
    until(lambda: world.status(slugs[0])["state"] == "exited", "the end of the bottle")
    attached.shows("Enter/Esc leave")
    attached.type(b"\r")
    assert world.status(slugs[1])["state"] != "exited"
    world.run("resume", slugs[0], "--detach")
    world.run("keys", "uninstall")


def test_a_terminal_without_room_for_the_menu_is_told(world: World, slugs: list[str]) -> None:
    world.run("keys", "install")
    small = Terminal(
        ["tmux", "-u", "-L", world.socket, "attach", "-t", "=bottlemux:"], world.environ, (60, 15)
    )
    try:
        until(lambda: small.read(0.02) and world.tmux("list-clients"), "a client")
        world.tmux("select-window", "-t", world.pane_id(slugs[1]))
        _press(world, small, b"m")
        small.shows("lines): the palette has it all")
    finally:
        small.close()
    world.run("keys", "uninstall")


def test_the_palette_of_a_bottles_window_is_about_its_project(
    world: World, slugs: list[str], attached: Terminal
) -> None:
    world.run("keys", "install")
    world.tmux("select-window", "-t", world.pane_id(slugs[1]))
    _press(world, attached, b"n")
    attached.shows("start shell")
    attached.type(b"start shell\t")
    attached.shows(f"mount of {world.project}")
    attached.type(b"n\x1b")
    _press(world, attached, b"L")
    attached.shows("arrange as wide")
    attached.type(b"wide\r")
    until(lambda: world.tmux("list-panes", "-t", world.pane_id(slugs[1])).count("\n") > 1, "more panes")
    _press(world, attached, b"z")
    until(
        lambda: (
            world.tmux("display-message", "-p", "-t", world.pane_id(slugs[1]), "#{window_zoomed_flag}")
            == "1\n"
        ),
        "the agent's pane alone",
    )
    world.run("keys", "uninstall")


def test_the_name_of_a_directory_is_no_command(world: World, slugs: list[str], attached: Terminal) -> None:
    """A project that was cloned may have directories of any name; a key is pressed in one of them."""
    hostile = world.home / "x' ; set-option -g @pwned 'yes"
    hostile.mkdir()
    world.run("keys", "install")
    world.tmux("new-window", "-t", "=bottlemux:", "-c", literal(str(hostile)), "sleep", "1000")
    path = lambda: world.tmux("display-message", "-p", "-t", "=bottlemux:", "#{pane_current_path}").strip()  # noqa: E731
    until(lambda: path() == str(hostile), "the directory")
    _press(world, attached, b"p")
    attached.shows("start shell")
    attached.type(b"\x1b")
    world.run("keys", "uninstall")
    assert "@pwned" not in world.tmux("show-options", "-g")


def test_uninstall_refuses_what_was_changed_since(world: World, slugs: list[str]) -> None:
    world.run("keys", "install", "--key", "F9", "--table", "root")
    assert world.run("keys", "show").startswith("F9, then:")
    world.tmux("bind-key", "-T", "root", "F9", "next-window")
    refused = world.try_run("keys", "uninstall")
    assert (refused.returncode, "F9 is now: bind-key -T root F9 next-window" in refused.stderr) == (1, True)
    assert world.run("keys", "uninstall", "--force") == "F9 is left as it is\n"
    assert "next-window" in world.tmux("list-keys", "-T", "root", "F9")


def test_the_key_that_an_ended_program_names_brings_it_back(
    world: World, slugs: list[str], attached: Terminal
) -> None:
    world.run("keys", "install")
    world.tmux("select-window", "-t", world.pane_id(slugs[0]))
    world.tmux("send-keys", "-t", world.pane_id(slugs[0]), "exit", "Enter")
    until(lambda: world.is_dead(slugs[0]), "the end of the program")
    if "Pane is dead" not in world.pane(slugs[0]):  # what an older tmux says, whatever it is told to
        world.wait_for_text(slugs[0], "C-b b r resumes it")
    _press(world, attached, b"r")
    until(lambda: not world.is_dead(slugs[0]), "the program")
    world.run("keys", "uninstall")
