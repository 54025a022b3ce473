"""``init``: three questions at a terminal, none with options; what it writes loads; whatever ends it leaves nothing."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bottlemux.errors import BottlemuxError
from bottlemux.lifecycle import beginning
from bottlemux.lifecycle.beginning import Answers, write_first
from bottlemux.manifest.loader import resolve
from bottlemux.paths import Paths
from tests.e2e.world import World, until

if TYPE_CHECKING:
    from collections.abc import Iterator

QUESTIONS = ("1. What shall the agent run?", "2. Which hosts", "3. How shall it get")


@pytest.fixture
def user(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def written(user: World) -> set[str]:
    return {str(path.relative_to(user.config)) for path in user.config.rglob("*") if path.is_file()}


class Terminal:
    """``bottlemux init`` at a terminal."""

    def __init__(self, user: World, *words: str) -> None:
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(user.project)
            os.execve(sys.executable, user.argv("init", *words), user.environ)
        os.set_blocking(self.terminal, False)
        self.seen = ""

    def wait_for(self, text: str) -> None:
        until(lambda: text in self.read(), text)

    def read(self) -> str:
        with contextlib.suppress(OSError):
            self.seen += os.read(self.terminal, 65536).decode()
        return self.seen

    def answer(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def end(self) -> int:
        """Return the exit code."""
        _, status = until(self._ended, "the end")
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(status)

    def _ended(self) -> tuple[int, int] | None:
        ended = os.waitpid(self.process, os.WNOHANG)
        self.read()
        return ended if ended[0] else None


def test_three_questions_make_a_bottle_and_an_agent(user: World) -> None:
    init = Terminal(user, "lib")
    for question, answer in zip(
        QUESTIONS, ("bash -l\n", "docs.python.org, *.example.com\n", "copy\n"), strict=True
    ):
        init.wait_for(question)
        init.answer(answer)
    assert init.end() == 0, init.seen
    assert "next: bottlemux start lib" in init.seen
    resolved = resolve(Paths(user.config, user.state, user.state / "run"), "lib", user.project)
    assert resolved.agent.program == ("bash", "-l")
    assert resolved.agent.workspace == "copy"
    assert [route.host for route in resolved.bottle.egress.routes] == ["docs.python.org", "*.example.com"]


@pytest.mark.parametrize(("program", "asked"), [("", ", beside its model's API?"), ("/bin/sh", "?")])
def test_only_a_program_that_has_one_is_asked_about_beside_its_api(
    user: World, program: str, asked: str
) -> None:
    init = Terminal(user)
    init.wait_for(QUESTIONS[0])
    init.answer(f"{program}\n")
    init.wait_for(f"2. Which hosts may it read from{asked}\r\n")
    init.answer("\x03")
    init.end()


def test_a_bad_answer_is_explained_and_asked_again(user: World) -> None:
    init = Terminal(user)
    init.wait_for(QUESTIONS[0])
    init.answer("\n")
    init.wait_for(QUESTIONS[1])
    init.answer("https://docs.python.org/3\n")
    init.wait_for("cannot allow 'https://docs.python.org/3'")
    init.answer("\n")
    init.wait_for(QUESTIONS[2])
    init.answer("\n")
    assert init.end() == 0
    assert written(user) == {"bottles/dev.md", "agents/dev.md"}


def test_who_wins_over_whom_is_said(user: World) -> None:
    printed = user.run("init", "demo", "--yes")
    assert "note: 'demo' is yours from now on, no longer the shipped one\n" in printed
    agents = user.project / ".bottlemux" / "agents"
    agents.mkdir(parents=True)
    (agents / "web.md").write_text("---\nbottle: demo\nprogram: [bash]\n---\n")
    printed = user.run("init", "web", "--yes")
    wins = f"note: in this directory 'web' is the project's agent, not {user.config}/agents/web.md\n"
    assert wins in printed
    assert "is yours from now on" not in printed
    assert "(defined by this project)" in user.run("start", "web", "--dry-run")
    assert "'other'" not in user.run("init", "other", "--yes")


@pytest.mark.parametrize("asked", range(3))
@pytest.mark.parametrize("leave", ["\x03", "\x04"], ids=["ctrl-c", "ctrl-d"])
def test_leaving_writes_nothing(user: World, asked: int, leave: str) -> None:
    init = Terminal(user)
    for question in QUESTIONS[:asked]:
        init.wait_for(question)
        init.answer("\n")
    init.wait_for(QUESTIONS[asked])
    init.answer(leave)
    assert init.end() == 1
    assert "nothing was written" in init.seen
    assert written(user) == set()


def test_without_a_terminal_options_answer(user: World) -> None:
    printed = user.run(
        "init", "lib", "--yes", "--program", "bash -l", "--allow", "a.example", "--allow", "b.example"
    )
    assert printed.splitlines()[-1] == "next: bottlemux start lib"
    preflight = user.run("start", "lib", "--dry-run")
    assert "a.example" in preflight
    assert user.try_run("init", "other").returncode == 2
    assert written(user) == {"bottles/lib.md", "agents/lib.md"}


@pytest.mark.parametrize("place", ["project", "home", "checkout"])
def test_the_next_step_is_one_that_works_from_here(user: World, place: str) -> None:
    directory = {"project": user.project, "home": user.home, "checkout": Path(__file__).parents[2]}[place]
    printed = subprocess.run(
        user.argv("init", "lib", "--yes"), cwd=directory, env=user.environ, capture_output=True, text=True
    ).stdout
    away = "" if place == "project" else "cd to a project of yours, then "
    assert printed.splitlines()[-1] == f"next: {away}bottlemux start lib"


MISTAKES = {
    "bad name": (["Dev"], "bad name 'Dev'"),
    "two hosts in one": (["--yes", "--allow", "bad host"], "cannot allow 'bad host'"),
    "bad host": (["--yes", "--allow", "https://x/"], "cannot allow 'https://x/'"),
    "bad program": (["--yes", "--program", "a 'b"], "no command line"),
    "no program": (["--yes", "--program", ""], "a program is needed"),
    "control character": (["--yes", "--program", "a\x1bb"], "holds control characters"),
    "bad workspace": (["--yes", "--workspace", "x"], "invalid choice: 'x'"),
}


@pytest.mark.parametrize(("words", "text"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_writes_nothing(user: World, words: list[str], text: str) -> None:
    done = user.try_run("init", *words)
    assert done.returncode == 2
    assert text in done.stderr.splitlines()[0]
    assert written(user) == set()


@pytest.mark.parametrize("kind", ["bottles", "agents"])
def test_nothing_is_overwritten(user: World, kind: str) -> None:
    path = user.config / kind / "dev.md"
    path.write_text("mine")
    done = user.try_run("init", "--yes")
    assert done.returncode == 2
    assert "overwrites nothing" in done.stderr
    assert path.read_text() == "mine"
    assert written(user) == {f"{kind}/dev.md"}


def test_a_dangling_link_is_not_written_through(user: World, tmp_path: Path) -> None:
    (user.config / "agents/dev.md").symlink_to(tmp_path / "elsewhere")
    assert user.try_run("init", "--yes").returncode == 2
    assert not (tmp_path / "elsewhere").exists()


def test_a_failure_half_way_leaves_neither_file_nor_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state", tmp_path / "run")
    create = beginning._create

    def fail_at_the_agent(path: Path, text: str, made: list[Path]) -> None:
        if path.parent.name == "agents":
            raise KeyboardInterrupt
        create(path, text, made)

    monkeypatch.setattr(beginning, "_create", fail_at_the_agent)
    with pytest.raises(KeyboardInterrupt):
        write_first(paths, Answers("dev", ("claude",), (), "mount"))
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_load_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beginning, "agent_text", lambda _answers: "---\nbottle: [\n---\n")
    paths = Paths(tmp_path / "config", tmp_path / "state", tmp_path / "run")
    with pytest.raises(BottlemuxError, match=r"makes no valid manifest: agents/dev\.md:"):
        write_first(paths, Answers("dev", ("claude",), (), "mount"))
    assert list(tmp_path.iterdir()) == []
