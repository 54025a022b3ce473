"""Private directories, a private tmux server whose panes are the terminals, and bottles that only seem to be there."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bottlemux.lifecycle.context import Context
from bottlemux.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

DEADLINE_S = 60.0
OWN = [sys.executable, "-I", "-m", "bottlemux"]


def until[T](condition: Callable[[], T], what: Callable[[], str] = lambda: "") -> T:
    """Poll until ``condition`` holds and return it."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"did not come true; {what()}"
        time.sleep(0.02)
    return found


@pytest.fixture
def socket_name(tmp_path: Path) -> Iterator[str]:
    name = f"bottlemux-palette-{secrets.token_hex(4)}"
    yield name
    subprocess.run(["tmux", "-L", name, "kill-server"], capture_output=True, timeout=10)
    (Path("/tmp") / f"tmux-{os.getuid()}" / name).unlink(missing_ok=True)


@pytest.fixture
def environ(tmp_path: Path, socket_name: str) -> Iterator[dict[str, str]]:
    home = tmp_path / "home"
    project = tmp_path / "project"
    for directory in (home, project):
        directory.mkdir()
    yield {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        "BOTTLEMUX_TMUX_SOCKET": socket_name,
        "BOTTLEMUX_STATE_DIR": str(tmp_path / "state"),
        "BOTTLEMUX_CONFIG_DIR": str(tmp_path / "config"),
    }
    for pid in processes_of(home):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def processes_of(home: Path) -> list[int]:
    """Return the processes that have this home directory: the warm process outlives the command that needed it."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and f"HOME={home}".encode() in (entry / "environ").read_bytes().split(
                b"\0"
            ):
                found.append(int(entry.name))
    return found


@pytest.fixture
def context(environ: dict[str, str], tmp_path: Path) -> Context:
    return Context(Paths.from_environ(environ), environ, tmp_path / "project")


@pytest.fixture
def make_bottle(context: Context) -> Callable[[], str]:
    """Return what records an ended bottle."""

    def make() -> str:
        record = context.store.create("demo", bottle="demo", backend="bubblewrap", cwd=context.cwd)
        return record.identity

    return make


@contextmanager
def living(context: Context, slug: str) -> Generator[None]:
    """Hold the lock of a bottle, as its supervisor does."""
    with context.paths.bottle(slug).lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Screen:
    """A pane of a private tmux server, used as a terminal."""

    def __init__(self, environ: dict[str, str], size: tuple[int, int]) -> None:
        self._name = f"bottlemux-screen-{secrets.token_hex(4)}"
        self._environ = environ
        self._size = size

    def run(self, argv: list[str], *, cwd: Path, keep: bool = True, **extra: str) -> None:
        """Run ``argv`` in the pane; what it leaves stays to be seen if ``keep``."""
        environ = {**self._environ, **extra}
        columns, rows = self._size
        words = ["env", "-i", *(f"{name}={value}" for name, value in environ.items()), *argv]
        commands = ["new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(cwd), *words]
        if keep:
            commands += [";", "set-option", "-w", "remain-on-exit", "on"]
        self.tmux("-f", "/dev/null", *commands)

    def tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-u", "-L", self._name, *words],
            env={"PATH": os.environ["PATH"], "HOME": self._environ["HOME"], "LANG": "C.UTF-8"},
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
        return done.stdout

    def text(self) -> str:
        return self.tmux("capture-pane", "-p")

    def keys(self, *names: str) -> None:
        self.tmux("send-keys", *names)

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", "--", text)

    def shows(self, text: str) -> str:
        until(lambda: text in self.text(), self.text)
        return self.text()

    def hides(self, text: str) -> str:
        until(lambda: text not in self.text(), self.text)
        return self.text()

    def dead(self) -> str:
        """Wait for the program to end and return its exit code."""
        return until(self._exit_code, self.text)

    def _exit_code(self) -> str:
        code = self._format("#{pane_dead_status}")
        if not code:
            # tmux before 3.5 can miss that a child ended; it looks again when it is told of any.
            os.kill(int(self._format("#{pid}")), signal.SIGCHLD)
        return code

    def _format(self, text: str) -> str:
        return self.tmux("display-message", "-p", text).strip()

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self._name, "kill-server"], capture_output=True, timeout=10)
        (Path("/tmp") / f"tmux-{os.getuid()}" / self._name).unlink(missing_ok=True)


@pytest.fixture
def screen(environ: dict[str, str]) -> Iterator[Callable[..., Screen]]:
    made: list[Screen] = []

    def make(size: tuple[int, int] = (120, 30)) -> Screen:
        made.append(Screen({**environ, "TERM": "screen"}, size))
        return made[-1]

    yield make
    for one in made:
        one.close()
