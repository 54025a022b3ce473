"""Completion, in the shells themselves: each runs in a terminal, is given the script, and TAB is pressed."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.world import World, until

if TYPE_CHECKING:
    from collections.abc import Iterator

BOTTLEMUX = str(Path(sys.executable).with_name("bottlemux"))
RUNS = 7
SIZE = ("-x", "150", "-y", "40")
SHELLS = {
    "bash": ("bash --norc --noprofile -i", "eval \"$({} completion bash)\""),
    "zsh": ("zsh -f -i", "autoload -Uz compinit; compinit -u -D; eval \"$({} completion zsh)\""),
    "fish": ("fish --no-config -i", "{} completion fish | source"),
}  # fmt: skip
TYPED = {
    "a command": ("compl", "bottlemux completion"),
    "a bottle": ("exec there-", "bottlemux exec there-00001"),
    "a bottle of several": ("stop there-00001 oth", "bottlemux stop there-00001 other-00002"),
    "an agent": ("start quiet-", "bottlemux start quiet-one"),
    "an option": ("start quiet-one --dry", "bottlemux start quiet-one --dry-run"),
    "what an option takes": ("start --workspace cl", "bottlemux start --workspace clone"),
    "an action": ("layout sho", "bottlemux layout show"),
    "a layout": ("attach --layout rev", "bottlemux attach --layout review"),
    "a layout below an action": ("layout apply rev", "bottlemux layout apply review"),
    "a topic": ("help dash", "bottlemux help dashboard"),
    "a schema": ("help --schema lay", "bottlemux help --schema layout-list"),
    "a directory": ("start quiet-one --cwd sub", "bottlemux start quiet-one --cwd subject/"),
    "below an action": ("approvals approve q7", "bottlemux approvals approve q7abc"),
}


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("completion"))
    world.manifest("agents", "quiet-one", "bottle: quiet")
    for slug in ("there-00001", "other-00002"):
        world.bottle(slug).mkdir(parents=True)
    (world.project / "subject").mkdir()
    (world.bottle("there-00001") / "proposals").mkdir()
    (world.bottle("there-00001") / "proposals/q7abc.json").write_text("{}")
    yield world
    world.close()


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest, user: World) -> str:
    """Return the tmux window with a shell that has been given its script."""
    name = str(request.param)
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    start, script = SHELLS[name]
    user.tmux("-f", os.devnull, "new-session", "-d", "-s", name, *SIZE, "-c", str(user.project), start)
    # A shell that is still starting loses what is typed.
    until(lambda: user.tmux("capture-pane", "-p", "-t", f"={name}:").strip(), f"the prompt of {name}")
    type_in(user, name, script.format(shlex.quote(BOTTLEMUX)), "Enter")
    type_in(user, name, "echo rea''dy", "Enter")
    until(lambda: "\nready" in screen(user, name), f"{name} with completion")
    return name


def type_in(user: World, window: str, text: str, *keys: str) -> None:
    user.tmux("send-keys", "-t", f"={window}:", "-l", text)
    user.tmux("send-keys", "-t", f"={window}:", *keys)


def screen(user: World, window: str) -> str:
    return user.tmux("capture-pane", "-p", "-J", "-t", f"={window}:")


def line_in(user: World, window: str) -> str:
    """Return the line that is being typed: the last one that is not empty."""
    return screen(user, window).rstrip().rpartition("\n")[2]


@pytest.mark.tmux
@pytest.mark.parametrize(("typed", "completed"), TYPED.values(), ids=TYPED)
def test_tab_completes(user: World, shell: str, typed: str, completed: str) -> None:
    until(lambda: "bottlemux" not in line_in(user, shell), "an empty line")
    type_in(user, shell, f"bottlemux {typed}", "Tab")
    try:
        until(lambda: f"{completed} " in f"{line_in(user, shell)} ", completed)
    finally:
        user.tmux("send-keys", "-t", f"={shell}:", "C-u")


def ask(user: World, line: str) -> list[str]:
    """Return the completions of ``line``, asked for as bash does."""
    environ = {**user.environ, "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE": "1"}
    done = subprocess.run(
        ("sh", "-c", f"exec {shlex.quote(BOTTLEMUX)} 8>&1 >/dev/null"), env=environ, capture_output=True, text=True,
        timeout=60, cwd=user.project,
    )  # fmt: skip
    return [word.strip() for word in done.stdout.split("\v") if word]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bottlemux exec ", {"other-00002", "there-00001"}),
        ("bottlemux exec nope", set()),
        ("bottlemux start --prompt ", set()),
        ("bottlemux --socket-name x stop th", {"there-00001"}),
        ("bottlemux audit there-00001 --f", {"--follow"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_only_what_fits_is_offered(user: World, line: str, expected: set[str]) -> None:
    assert set(ask(user, line)) == expected


def test_the_script_runs_this_installation_not_what_is_typed(user: World) -> None:
    """A project could hold a program named ``bottlemux``; TAB must not run it."""
    for name in SHELLS:
        assert BOTTLEMUX in user.run("completion", name)


def test_slugs_come_without_what_is_slow_to_import(user: World) -> None:
    """The peer is an interpreter that imports the two libraries it cannot do without."""
    peer = (sys.executable, "-I", "-c", "import argparse, argcomplete")
    ours, theirs = [], []
    for _ in range(RUNS):
        theirs.append(seconds(lambda: subprocess.run(peer, check=True)))
        ours.append(seconds(lambda: ask(user, "bottlemux exec th")))
    assert min(ours) < 4 * min(theirs)


def seconds(action: object) -> float:
    start = time.perf_counter()
    action()  # type: ignore[operator]
    return time.perf_counter() - start


def test_nothing_heavy_is_imported(user: World) -> None:
    line = "bottlemux exec th"
    environ = {**user.environ, "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE": "1"}
    script = 'exec "$1" -X importtime -I -m bottlemux 8>/dev/null'
    done = subprocess.run(
        ("sh", "-c", script, "sh", sys.executable), env=environ, capture_output=True, text=True, timeout=60
    )
    imported = {row.rpartition("|")[2].strip() for row in done.stderr.splitlines()}
    assert "argcomplete" in imported
    assert not imported & {
        "pydantic",
        "libtmux",
        "docker",
        "mitmproxy",
        "prompt_toolkit",
        "psutil",
        "ruamel.yaml",
    }
