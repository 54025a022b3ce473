"""What the benchmarks of whole commands share: a user of their own, repetitions, medians, verdicts."""

from __future__ import annotations

import compileall
import contextlib
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT_S = 60.0


class User:
    """A home, a project, a configuration, a state and a tmux server that nobody else has."""

    def __init__(self, root: Path) -> None:
        self.project, self.config, self.state = root / "project", root / "config", root / "state"
        for directory in (root / "home", self.project, self.config / "bottles", self.config / "agents"):
            directory.mkdir(parents=True)
        self.mark = f"HOME={root / 'home'}"
        self.environ = {
            "BOTTLEMUX_CONFIG_DIR": str(self.config),
            "BOTTLEMUX_STATE_DIR": str(self.state),
            "BOTTLEMUX_TMUX_SOCKET": f"bottlemux-bench-{secrets.token_hex(4)}",
            "HOME": str(root / "home"),
            "LANG": "C.UTF-8",
            "PATH": os.environ["PATH"],
            "SHELL": "/bin/sh",
            "TERM": "xterm-256color",
        }

    def manifest(self, kind: str, name: str, front: str) -> None:
        """Write ``bottles/NAME.md`` or ``agents/NAME.md``."""
        (self.config / kind / f"{name}.md").write_text(f"---\n{front.strip()}\n---\n")

    def argv(self, *words: str) -> list[str]:
        """Return one command as a user types it: the console script."""
        return [str(Path(sys.executable).with_name("bottlemux")), *words]

    def run(self, *words: str) -> str:
        """Run one command that must succeed; return what it printed."""
        return run(self.argv(*words), cwd=self.project, env=self.environ)

    def start(self, agent: str) -> str:
        """Start a detached bottle; return its slug."""
        return self.run("start", agent, "--yes", "--detach").splitlines()[-1]

    def forget(self) -> None:
        """End everything of this user's, the warm process included, so that the next start is a cold one."""
        self.run("stop", "--all")
        tmux = ["tmux", "-L", self.environ["BOTTLEMUX_TMUX_SOCKET"], "kill-server"]
        subprocess.run(tmux, env=self.environ, check=False, capture_output=True, timeout=TIMEOUT_S)
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.processes(), "the end of all processes")

    def family(self) -> set[int]:
        """Return this user's processes, those inside of bottles included."""
        found, parents = set(self.processes()), _parents()
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found

    def processes(self) -> list[int]:
        """Return this user's processes on the host: they are known by their home directory."""
        mark = self.mark.encode()
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and mark in _environ(name)]


def _parents() -> dict[int, int]:
    found: dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            found[int(name)] = int(Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[1])
    return found


def _environ(pid: str) -> list[bytes]:
    try:
        return Path("/proc", pid, "environ").read_bytes().split(b"\0")
    except OSError:
        return []


@contextlib.contextmanager
def user() -> Generator[User]:
    """Make a user, with bottlemux compiled as an installed one is; remove all of it afterwards."""
    for package in ("bottlemux", "backends", "sidecars"):
        compileall.compile_dir(str(ROOT / package), quiet=2)
    with tempfile.TemporaryDirectory() as name:
        made = User(Path(name))
        try:
            yield made
        finally:
            made.forget()


def run(argv: Sequence[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a program that must succeed; return its standard output."""
    done = subprocess.run(
        argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{list(argv)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def timed(action: Callable[[], object]) -> float:
    """Return how many seconds ``action`` took."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def until[T](condition: Callable[[], T], what: str) -> T:
    """Poll until ``condition`` holds; return what it returned."""
    deadline = time.monotonic() + TIMEOUT_S
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.005)
    return value


def interleaved(repetitions: int, actions: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Run all ``actions`` in turns; return the median of each. The first round fills caches and is left out."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(repetitions + 1):
        for name, action in actions.items():
            value = action()
            if number:
                taken[name].append(value)
    return {name: statistics.median(values) for name, values in taken.items()}


def repetitions(default: int) -> int:
    """Return the repetitions asked for on the command line."""
    return int(sys.argv[1]) if len(sys.argv) > 1 else default


def milliseconds(label: str, seconds: float) -> None:
    print(f"{label:<44} {seconds * 1000:8.1f} ms")


def verdict(label: str, ratio: float, target: float) -> bool:
    """Print a ratio beside its target; return whether it is met."""
    met = ratio <= target
    print(f"{label:<44} {ratio:8.2f} x   target <= {target} x: {'met' if met else 'MISSED'}")
    return met


def exit_code(verdicts: Iterable[bool]) -> int:
    return 0 if all(verdicts) else 1
