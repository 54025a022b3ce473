"""Directories of an operator of their own, and bottles made in them by any backend."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.contract import BottleSpec
from backends.registry import get_bottle_backend
from bottlemux.files import make_private_dir
from bottlemux.manifest.loader import resolve
from bottlemux.paths import Paths
from bottlemux.state.liveness import is_alive
from bottlemux.state.store import BottleStore

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from backends.contract import Bottle, BottleBackend, BottlePlan

DEADLINE_S = 60.0
MACHINE_IMAGE = os.environ.get("BOTTLEMUX_TEST_MACHINE_IMAGE", "/srv/image")
"""A root file system for microVMs, where they boot at all."""
WRITES_AT_THE_END = """
trap 'sleep 0.3; echo told; echo written > ~/written; exit' HUP TERM
echo ready
while :; do sleep 0.1; done
"""
"""A shell program that is ready when it says so, and needs a moment at its end for a file in its home."""


@contextlib.contextmanager
def running(bottle: Bottle, script: str) -> Generator[None]:
    """Run a shell ``script`` in the bottle, which has said that it is ready; its client ends with the bottle."""
    command = bottle.claude_argv(["sh", "-c", script], tty=False)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        yield
        program.communicate(timeout=30)


def until(condition: Callable[[], object], what: str) -> None:
    """Poll until ``condition`` holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true"
        time.sleep(0.01)


def processes(text: str) -> list[int]:
    """Return the host's processes whose command line, environment or working directory has ``text`` in it."""
    found: list[int] = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                seen = (
                    Path("/proc", name, "cmdline").read_bytes() + Path("/proc", name, "environ").read_bytes()
                )
            except OSError:
                continue
            if text.encode() in seen:
                found.append(int(name))
    return found


def git(directory: Path, *arguments: str) -> str:
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(directory), "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "o", "GIT_AUTHOR_EMAIL": "o@example.com",
        "GIT_COMMITTER_NAME": "o", "GIT_COMMITTER_EMAIL": "o@example.com",
    }  # fmt: skip
    done = subprocess.run(["git", *arguments], cwd=directory, env=environ, capture_output=True, check=True)
    return done.stdout.decode()


@dataclass
class World:
    """One operator's directories; what is launched here is ended by :meth:`close`."""

    root: Path
    backend_name: str
    bottles: list[Bottle] = field(default_factory=list)
    name: str = "project"

    def __post_init__(self) -> None:
        self.paths = Paths(self.root / "config", self.root / "state", self.root / "run")
        self.write_bottle("dev", "")
        self.write_agent("dev", "bottle: dev\nprogram: [bash, -l]")

    @property
    def backend(self) -> BottleBackend[Any, Any]:
        return get_bottle_backend(self.backend_name, paths=self.paths)

    def write_bottle(self, name: str, front: str) -> None:
        if self.backend_name == "smolmachines" and "image:" not in front:
            front = f"image: {MACHINE_IMAGE}\n{front}"
            front += "" if "resources:" in front else "\nresources: {cpus: 1, memory: 768m}"
        self._write(self.paths.bottles_config / f"{name}.md", front)

    def write_agent(self, name: str, front: str, text: str = "Be good.") -> None:
        self._write(self.paths.agents_config / f"{name}.md", front, text)

    def _write(self, path: Path, front: str, text: str = "") -> None:
        make_private_dir(path.parent)
        path.write_text(f"---\n{front}\n---\n{text}\n")

    def project(self, name: str = "", *, repository: bool = False) -> Path:
        directory = self.root / f"project-{self.name}{name}"
        directory.mkdir(exist_ok=True)
        if repository and not (directory / ".git").exists():
            git(directory, "init", "-q", "-b", "main")
            (directory / "file").write_text("one\n")
            git(directory, "add", ".")
            git(directory, "commit", "-q", "-m", "first")
        return directory

    def spec(self, *, agent: str = "dev", directory: Path | None = None, **changes: Any) -> BottleSpec:
        directory = directory or self.project()
        workspace = changes.pop("workspace", self.backend.workspaces[-1 if self.is_elsewhere else 0])
        record = BottleStore(self.paths).create(
            agent, bottle="dev", backend=self.backend_name, cwd=directory, workspace=workspace
        )
        spec = BottleSpec(
            identity=record.identity,
            resolved=resolve(self.paths, agent, directory),
            paths=self.paths,
            directory=directory,
            workspace=workspace,
        )
        return replace(spec, **changes)

    def plan(self, **changes: Any) -> BottlePlan:
        return self.backend.prepare(self.spec(**changes))

    def launch(self, plan: BottlePlan | None = None, **changes: Any) -> Bottle:
        bottle = self.backend.launch(plan or self.plan(**changes))
        self.bottles.append(bottle)
        return bottle

    def is_alive(self, identity: str) -> bool:
        return is_alive(self.paths.bottle(identity))

    @property
    def is_elsewhere(self) -> bool:
        """Whether bottles run where this machine's files are not."""
        return "@" in self.backend_name

    def close(self) -> None:
        for bottle in self.bottles:
            bottle.close()
            self.backend.discard(bottle.identity)

    def end_zygotes(self) -> None:
        """End the sidecars' parents of these directories; each is known by the log that it writes to."""
        log = str(self.paths.runtime / "zygote.log")
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and str(Path(f"/proc/{name}/fd/1").readlink()) == log:
                    os.kill(int(name), signal.SIGKILL)
            except OSError:
                continue
