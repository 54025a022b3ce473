"""The README's first command, as a new user gives it: at a terminal, away from one, and a second time."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
UP = str(ROOT / "scripts" / "up")
BOTTLEMUX = str(ROOT / ".venv" / "bin" / "bottlemux")
DEADLINE_S = 60.0

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux]


@pytest.fixture
def user(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return the environment of a user without any configuration, on a tmux server of its own."""
    if not list((ROOT / ".venv").glob(".made-for-*")):
        pytest.skip("this environment was not made by scripts/setup, which would change it")
    # The path of a Unix socket has room for 107 bytes.
    sockets = tempfile.mkdtemp(prefix="up")
    environ = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(tmp_path / "home"), "LANG": "C.UTF-8",
        "TERM": "xterm-256color", "SHELL": "/bin/sh", "TMUX_TMPDIR": sockets, "BOTTLEMUX_TMUX_SOCKET": "new",
        "BOTTLEMUX_PYTHON": os.environ.get("BOTTLEMUX_PYTHON", ""),
    }  # fmt: skip
    (tmp_path / "home").mkdir()
    (tmp_path / "home/project").mkdir()
    yield environ
    subprocess.run((BOTTLEMUX, "stop", "--all"), env=environ, capture_output=True, timeout=DEADLINE_S)
    subprocess.run(("tmux", "-L", "new", "kill-server"), env=environ, capture_output=True, timeout=DEADLINE_S)
    shutil.rmtree(sockets, ignore_errors=True)


def run(user: dict[str, str], *argv: str, cwd: str = "project") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, env=user, cwd=Path(user["HOME"], cwd), capture_output=True, text=True, timeout=DEADLINE_S,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_at_a_terminal_it_asks_once_and_shows_the_demo_in_a_bottle(user: dict[str, str]) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(Path(user["HOME"], "project"))
        os.execve(UP, [UP], user)
    try:
        seen = read_until(terminal, "[y/N]")
        os.write(terminal, b"y\n")
        seen += read_until(terminal, "What now?")
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    assert seen.count("[y/N]") == 1
    assert "up: claude is not installed, so this is the demo agent" in seen
    assert "network    nothing" in seen
    assert run(user, BOTTLEMUX, "list", "active").stdout.startswith("bubblewrap\tdemo-")


def read_until(terminal: int, text: str) -> str:
    limit, seen = time.monotonic() + DEADLINE_S, ""
    while text not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0.0, limit - time.monotonic()))
        assert ready, f"{text!r} did not appear in {seen!r}"
        seen += os.read(terminal, 65536).decode(errors="replace")
    return seen


def test_without_a_terminal_it_starts_nothing_and_says_how(user: dict[str, str]) -> None:
    done = run(user, UP)
    assert done.returncode == 0, done.stderr
    assert "scripts/up demo --yes --detach" in done.stdout
    assert run(user, BOTTLEMUX, "list", "active").stdout == ""


def test_what_claude_code_lacks_is_said(user: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "claude").write_text("#!/bin/sh\n")
    (tmp_path / "claude").chmod(0o755)
    user["PATH"] = f"{tmp_path}:{user['PATH']}"
    assert "up: CLAUDE_CODE_OAUTH_TOKEN is not set, so" in run(user, UP).stderr
    user["CLAUDE_CODE_OAUTH_TOKEN"] = "x"
    done = run(user, UP)
    assert done.stdout.startswith("agent      claude"), done.stderr
    assert "up: " not in done.stderr


def test_with_yes_it_starts_without_a_terminal(user: dict[str, str]) -> None:
    done = run(user, UP, "demo", "--yes", "--detach")
    assert done.returncode == 0, done.stderr
    assert run(user, BOTTLEMUX, "list", "active").stdout.startswith("bubblewrap\tdemo-")


def test_an_unknown_agent_is_named_with_the_known_ones(user: dict[str, str]) -> None:
    done = run(user, UP, "nobody", "--yes", "--detach")
    assert done.returncode == 4
    assert "claude, demo" in done.stderr


def test_in_its_own_checkout_the_agent_gets_a_clone(user: dict[str, str]) -> None:
    """The agent could otherwise change the code that builds its walls."""
    done = run(user, UP, cwd=str(ROOT))
    assert f"clone of {ROOT}" in done.stdout
