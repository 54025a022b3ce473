"""A user of bottlemux with a home, a project, a configuration and a tmux server of their own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEADLINE_S = 60.0
COMMAND_TIMEOUT_S = 60.0
_PANE_FORMAT = "#{@bottlemux_slug} #{@bottlemux_role} #{pane_id}"


_ENGINE_VARIABLES = ("DOCKER_HOST", "DOCKER_CONFIG", "BOTTLEMUX_BASE_IMAGE", "BOTTLEMUX_BUILD_CA")


def until[T](condition: Callable[[], T], what: str) -> T:
    """Poll until ``condition`` holds and return what it returned."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        if value := condition():
            return value
        assert time.monotonic() < deadline, f"{what} did not come true"
        time.sleep(0.02)


@dataclass(frozen=True)
class Process:
    """One process of this machine, as far as this user may look."""

    pid: int
    environ: bytes
    cmdline: bytes


def processes() -> list[Process]:
    """Return every process of the machine; what cannot be read of one is empty."""
    return [
        Process(int(entry.name), _read(entry / "environ"), _read(entry / "cmdline"))
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit()
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


class World:
    """Runs ``bottlemux`` as a program, with nothing of the developer's own environment but the PATH."""

    def __init__(self, root: Path) -> None:
        self.home, self.project = root / "home", root / "project"
        self.config, self.state = root / "config", root / "state"
        for directory in (self.home, self.project, self.config / "bottles", self.config / "agents"):
            directory.mkdir(parents=True)
        self.socket = f"bottlemux-e2e-{secrets.token_hex(4)}"
        self.environ = {
            "BOTTLEMUX_CONFIG_DIR": str(self.config),
            "BOTTLEMUX_STATE_DIR": str(self.state),
            "BOTTLEMUX_TMUX_SOCKET": self.socket,
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PATH": os.environ["PATH"],
            "SHELL": "/bin/sh",
            "TERM": "xterm-256color",
        }

    def use_engine(self) -> None:
        """Let this user have the tests' Docker engine, with what its images are built from."""
        self.environ |= {name: os.environ[name] for name in _ENGINE_VARIABLES if name in os.environ}

    def manifest(self, kind: str, name: str, front: str, body: str = "") -> None:
        """Write ``bottles/NAME.md`` or ``agents/NAME.md``."""
        (self.config / kind / f"{name}.md").write_text(f"---\n{front.strip()}\n---\n{body}\n")

    def argv(self, *words: str) -> list[str]:
        """Return the argument list of one bottlemux command."""
        return [sys.executable, "-I", "-m", "bottlemux", *words]

    def try_run(self, *words: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        """Run one command; ``environ`` is added to the user's environment."""
        return subprocess.run(
            self.argv(*words), input=stdin, capture_output=True, encoding="utf-8", timeout=COMMAND_TIMEOUT_S,
            cwd=self.project, env={**self.environ, **environ},
        )  # fmt: skip

    def run(self, *words: str, stdin: str = "", **environ: str) -> str:
        """Run one command that must succeed and return what it printed."""
        done = self.try_run(*words, stdin=stdin, **environ)
        assert done.returncode == 0, f"{words[:3]} ended with {done.returncode}: {done.stderr[-2000:]}"
        return done.stdout

    def start(self, agent: str, *words: str, stdin: str = "", **environ: str) -> str:
        """Start ``agent`` detached and return its slug."""
        printed = self.run("start", agent, "--yes", "--detach", *words, stdin=stdin, **environ)
        return printed.splitlines()[-1]

    def status(self, slug: str) -> dict[str, Any]:
        """Return the row of ``slug``."""
        (row,) = json.loads(self.run("status", slug, "--json"))
        assert isinstance(row, dict)
        return row

    def audit(self, slug: str) -> list[dict[str, Any]]:
        """Return the recorded decisions about ``slug``."""
        text = (self.bottle(slug) / "audit.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def report(self, slug: str) -> dict[str, Any]:
        """Return what the supervisor of ``slug`` reports: process ids above all."""
        value = json.loads((self.state / "run" / slug / "status.json").read_text())
        assert isinstance(value, dict)
        return value

    def bottle(self, slug: str) -> Path:
        """Return the state directory of ``slug``."""
        return self.state / "bottles" / slug

    def tmux(self, *words: str) -> str:
        """Run one command of this user's tmux."""
        done = subprocess.run(
            ["tmux", "-u", "-L", self.socket, *words], capture_output=True, encoding="utf-8", errors="replace",
            timeout=COMMAND_TIMEOUT_S, env=self.environ,
        )  # fmt: skip
        return done.stdout

    def pane(self, slug: str, role: str = "agent") -> str:
        """Return all that the pane has shown, its history included."""
        return self.tmux("capture-pane", "-p", "-J", "-S", "-", "-t", self.pane_id(slug, role))

    def wait_for_text(self, slug: str, text: str) -> None:
        """Wait until the agent's pane shows ``text``."""
        try:
            until(lambda: text in self.pane(slug), repr(text))
        except AssertionError as error:
            raise AssertionError(f"{error}; the pane shows:\n{self.pane(slug).strip()}") from None

    def pane_id(self, slug: str, role: str = "agent") -> str:
        rows = [line.split(" ") for line in self.tmux("list-panes", "-a", "-F", _PANE_FORMAT).splitlines()]
        return next(row[2] for row in rows if row[:2] == [slug, role])

    def panes(self) -> str:
        """Return all that every pane of every window has shown."""
        ids = self.tmux("list-panes", "-a", "-F", "#{pane_id}").split()
        return "\n".join(self.tmux("capture-pane", "-p", "-J", "-S", "-", "-t", pane) for pane in ids)

    def is_dead(self, slug: str, role: str = "agent") -> bool:
        """Tell whether the program of the pane has ended."""
        return (
            self.tmux("display-message", "-p", "-t", self.pane_id(slug, role), "#{pane_dead}").strip() == "1"
        )

    def own_processes(self) -> list[Process]:
        """Return the processes on the host that belong to this user: they have the home directory to themselves."""
        mark = f"HOME={self.home}".encode()
        return [process for process in processes() if mark in process.environ.split(b"\0")]

    def close(self) -> None:
        """End everything that was started."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.try_run("stop", "--all")
            self.tmux("kill-server")
        kill(process.pid for process in self.own_processes())
        Path(f"/tmp/tmux-{os.getuid()}", self.socket).unlink(missing_ok=True)
        shutil.rmtree(self.state, ignore_errors=True)


def kill(pids: Iterable[int]) -> None:
    """Kill at once, as a crash would."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
