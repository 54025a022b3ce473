"""A Docker engine beside the tests' own, on a disk in memory, for states that would spoil that one. Root only."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backends.docker.runtime import GVISOR

if TYPE_CHECKING:
    from collections.abc import Generator

_DISK = "2g"
_DEADLINE_S = 60.0


@dataclass(frozen=True)
class Spare:
    """The engine, by where its files are. It has addresses for two networks, no image, and runc by gVisor's name."""

    root: Path

    @property
    def socket(self) -> Path:
        return self.root / "docker.sock"

    @property
    def endpoint(self) -> str:
        return f"unix://{self.socket}"

    @property
    def disk(self) -> Path:
        return self.root / "data"

    def docker(self, *words: str) -> str:
        command = ["docker", "--host", self.endpoint, *words]
        return subprocess.run(command, capture_output=True, check=True, timeout=120).stdout.decode()

    def take(self, image: str) -> None:
        """Get an image from the tests' own engine."""
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saving:
            subprocess.run(
                ["docker", "--host", self.endpoint, "load", "-q"],
                stdin=saving.stdout,
                check=True,
                capture_output=True,
            )

    def names(self) -> list[str]:
        """Return the names of the containers, networks and volumes that somebody made."""
        containers = self.docker("ps", "-a", "--format", "{{.Names}}").split()
        networks = self.docker("network", "ls", "--filter", "type=custom", "--format", "{{.Name}}").split()
        return sorted({*containers, *networks, *self.docker("volume", "ls", "-q").split()})

    def clear(self) -> None:
        """Remove what was made on it; a bridge of its own would stay on this machine."""
        if containers := self.docker("ps", "-aq").split():
            self.docker("rm", "-fv", *containers)
        self.docker("network", "prune", "-f")

    @contextlib.contextmanager
    def full_disk(self) -> Generator[None]:
        """Leave no room on its disk meanwhile."""
        used = shutil.disk_usage(self.disk).used
        self._resize(str(used))
        try:
            yield
        finally:
            self._resize(_DISK)

    def _resize(self, size: str) -> None:
        subprocess.run(
            ["mount", "-o", f"remount,size={size}", str(self.disk)], check=True, capture_output=True
        )


@contextlib.contextmanager
def running() -> Generator[Spare]:
    """Run one. ``OSError`` where that is not possible here."""
    # A socket's name may have 107 bytes.
    spare = Spare(Path(tempfile.mkdtemp(prefix="bottlemux-spare-", dir="/run")))
    spare.disk.mkdir()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, spare.root, ignore_errors=True)
        _must(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "none", str(spare.disk)])
        stack.callback(subprocess.run, ["umount", "-l", str(spare.disk)], capture_output=True)
        # Programs that the package managers put there are found by those who look as an ordinary user too.
        path = f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
        log = stack.enter_context((spare.root / "log").open("wb"))
        # Another one may run at the same time, for somebody else.
        addresses = f"base=10.253.{secrets.randbelow(256)}.0/25,size=26"
        runc = shutil.which("runc", path=path)
        engine = subprocess.Popen(
            ["dockerd", "--data-root", str(spare.disk), "--exec-root", str(spare.root / "exec"),
             "-p", str(spare.root / "pid"), "-H", spare.endpoint, "--bridge", "none",
             "--default-address-pool", addresses, "--add-runtime", f"{GVISOR}={runc}"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "PATH": path}, start_new_session=True,
        )  # fmt: skip
        stack.callback(engine.wait, _DEADLINE_S)
        stack.callback(engine.terminate)
        _await(spare, engine)
        stack.callback(spare.clear)
        yield spare


def _must(command: list[str]) -> None:
    if subprocess.run(command, capture_output=True).returncode:
        raise OSError(f"{command[0]} is not possible here")


def _await(spare: Spare, engine: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while subprocess.run(["docker", "--host", spare.endpoint, "version"], capture_output=True).returncode:
        if engine.poll() is not None or time.monotonic() > deadline:
            raise OSError(f"it does not start: {(spare.root / 'log').read_text(errors='replace')[-500:]}")
        time.sleep(0.1)
