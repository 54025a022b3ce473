"""A real sshd with a bare repository behind it, a gate in front of it, and a clone to push from."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sidecars.git_gate.remotes import GitRemote
from sidecars.git_gate.service import serve
from sidecars.git_gate.spec import GitGateSpec, Limits

from .fakes import needle

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

DEADLINE_S = 60.0
_SETTINGS = {
    "GIT_CONFIG_COUNT": "3",
    "GIT_CONFIG_KEY_0": "user.name",
    "GIT_CONFIG_VALUE_0": "Agent",
    "GIT_CONFIG_KEY_1": "user.email",
    "GIT_CONFIG_VALUE_1": "agent@example.com",
    "GIT_CONFIG_KEY_2": "init.defaultBranch",
    "GIT_CONFIG_VALUE_2": "main",
}
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def wait_for(condition: Callable[[], object], what: str) -> None:
    limit = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < limit, f"{what} did not happen in time"
        time.sleep(0.01)


def keygen(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)
    return path


def sshd_program() -> str:
    """Return the ssh server, with the directory made that root's wants; skip the test where there is none."""
    if SSHD is None:
        pytest.skip("openssh-server is not installed")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    return SSHD


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_env(home: Path, **extra: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C.UTF-8",
        **_SETTINGS,
        **extra,
    }


@dataclass
class Sshd:
    """A running sshd that takes one key and runs nothing but git's server commands."""

    directory: Path
    port: int
    host_key: str
    identity: Path
    address: str = "127.0.0.1"
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = (self.directory / "sshd.log").open("ab")
        argv = [str(SSHD), "-D", "-e", "-f", str(self.directory / "sshd_config")]
        self.process = subprocess.Popen(argv, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        log.close()
        wait_for(self._answers, "sshd's start")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.address, self.port)) == 0

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(DEADLINE_S)
            self.process = None


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Generator[Sshd]:
    sshd_program()
    directory = tmp_path_factory.mktemp("sshd")
    server = configure(directory)
    server.start()
    yield server
    server.stop()


def configure(directory: Path, address: str = "127.0.0.1") -> Sshd:
    """Return a server, not started yet, that will listen at ``address``."""
    host = keygen(directory / "host_key")
    identity = keygen(directory / "identity")
    public = identity.with_suffix(".pub").read_text().strip()
    shell = directory / "forced"
    shell.write_text('#!/bin/sh\nexec git-shell -c "$SSH_ORIGINAL_COMMAND"\n')
    shell.chmod(0o755)
    (directory / "authorized_keys").write_text(f"restrict {public}\n")
    port = free_port()
    (directory / "sshd_config").write_text(
        f"""Port {port}
ListenAddress {address}
HostKey {host}
AuthorizedKeysFile {directory / "authorized_keys"}
ForceCommand {shell}
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
KexAlgorithms curve25519-sha256
PrintMotd no
PrintLastLog no
"""
    )
    return Sshd(directory, port, host.with_suffix(".pub").read_text().strip(), identity, address)


@dataclass
class Gate:
    """A gate that runs in a thread of its own."""

    spec: GitGateSpec
    port: int
    unix: Path
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread | None = None
    _task: asyncio.Task[None] | None = None

    def url(self, name: str = "origin") -> str:
        return f"http://127.0.0.1:{self.port}/{name}.git"

    def start(self) -> Gate:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(DEADLINE_S), "the gate did not start"
        return self

    def _run(self, ready: threading.Event) -> None:
        with socket.create_server(("127.0.0.1", self.port)) as tcp, socket.socket(socket.AF_UNIX) as unix:
            unix.bind(str(self.unix))
            unix.listen()
            self._task = self._loop.create_task(serve(self.spec, [tcp, unix], on_ready=ready.set))
            try:
                self._loop.run_until_complete(self._task)
            except asyncio.CancelledError:
                pass
            finally:
                self._loop.run_until_complete(self._loop.shutdown_default_executor())
                self._loop.close()

    def stop(self) -> None:
        if self._thread is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join(DEADLINE_S)
            assert not self._thread.is_alive(), "the gate did not end"
            self._thread = None

    def audit(self) -> list[dict[str, object]]:
        if not self.spec.audit_file.exists():
            return []
        return [json.loads(line) for line in self.spec.audit_file.read_text().splitlines()]

    def mirror_refs(self, name: str = "origin") -> str:
        return git(self.spec.cache_dir / f"{name}.git", "for-each-ref").stdout


def git(directory: Path, *arguments: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a client's git; its output is text."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=directory,
        env=clean_env(directory, **env),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


@dataclass
class World:
    """One upstream repository, the gate before it, and the agent's clone."""

    sshd: Sshd
    tmp: Path
    upstream: Path
    remote: GitRemote
    gates: list[Gate] = field(default_factory=list[Gate])
    limits: Limits = field(default_factory=Limits)
    needles: tuple[str, ...] = ()

    def gate(self, *, warm: bool = True, **changes: object) -> Gate:
        """Start a gate for the remote with ``changes``; a ``warm`` one has a mirror from before, which saves time."""
        values = {**self.remote.model_dump(), **changes}
        index = len(self.gates)
        spec = GitGateSpec(
            slug="demo-abcde",
            remotes=(GitRemote.model_validate(values),),
            cache_dir=self.tmp / f"cache{index}",
            audit_file=self.tmp / f"audit{index}.jsonl",
            needles=self.needles,
            limits=self.limits,
        )
        if warm and not spec.cache_dir.exists():
            mirror = spec.cache_dir / f"{self.remote.name}.git"
            git(self.tmp, "clone", "--quiet", "--bare", "--no-hardlinks", str(self.upstream), str(mirror))
        gate = Gate(spec, free_port(), self.tmp / f"gate{index}.sock")
        self.gates.append(gate)
        return gate.start()

    def limit(self, **changes: object) -> None:
        self.limits = replace(self.limits, **changes)  # type: ignore[arg-type]

    def checkout(self, gate: Gate, name: str = "work") -> Path:
        """Return what a clone through the gate gives, made without it, which saves time."""
        git(self.tmp, "clone", "--quiet", str(self.upstream), name)
        git(self.tmp / name, "remote", "set-url", "origin", gate.url())
        return self.tmp / name

    def clone(self, gate: Gate, name: str = "work") -> Path:
        """Clone through the gate."""
        git(self.tmp, "clone", "--quiet", gate.url(), name)
        return self.tmp / name

    def commit(self, work: Path, path: str = "file", content: str | bytes = "x\n", message: str = "m") -> str:
        target = work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        git(work, "add", "--all", "--force")
        git(work, "commit", "--quiet", "--allow-empty", "--message", message)
        return git(work, "rev-parse", "HEAD").stdout.strip()

    def upstream_ref(self, ref: str) -> str:
        return git(self.upstream, "rev-parse", "--verify", "--quiet", ref, check=False).stdout.strip()

    def hook(self, name: str, body: str) -> None:
        script = self.upstream / "hooks" / name
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)


def _make_world(sshd: Sshd, directory: Path) -> World:
    upstream = directory / "upstream" / "repo.git"
    upstream.mkdir(parents=True)
    git(directory, "init", "--quiet", "--bare", str(upstream))
    seed = directory / "seed"
    git(directory, "init", "--quiet", str(seed))
    remote = GitRemote(
        name="origin",
        upstream=f"ssh://{user_name()}@127.0.0.1:{sshd.port}{upstream}",
        identity_file=sshd.identity,
        known_host_key=sshd.host_key,
    )
    made = World(sshd, directory, upstream, remote)
    made.commit(seed, "README", "hello\n", "start")
    git(seed, "push", "--quiet", str(upstream), "main")
    return made


@pytest.fixture
def world(sshd: Sshd, tmp_path: Path) -> Generator[World]:
    made = _make_world(sshd, tmp_path)
    yield made
    for gate in made.gates:
        gate.stop()


@pytest.fixture(scope="module")
def shared(sshd: Sshd, tmp_path_factory: pytest.TempPathFactory) -> Generator[World]:
    """A world for tests that leave upstream as it is, with one gate and one clone, ``work``."""
    made = _make_world(sshd, tmp_path_factory.mktemp("shared"))
    made.needles = (needle(),)
    made.clone(made.gate())
    yield made
    for gate in made.gates:
        gate.stop()


def user_name() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name
