"""The ``smolvm`` command line as typed calls. Of what it prints on success, only JSON is read."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from backends.terminal import TERMINAL_VARIABLES
from bottlemux.errors import BottlemuxError, UnavailableError
from bottlemux.process import run, scrubbed_environ

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INSTALL_HINT = "pip install smolmachines, or put smolvm on the PATH"
LOOK_TIMEOUT_S = 30.0
CHANGE_TIMEOUT_S = 60.0
START_TIMEOUT_S = 300.0
_AT_REST = ("created", "stopped", "failed")
_OWN_VARIABLES = ("XDG_CACHE_HOME", "XDG_DATA_HOME", "SMOLVM_AGENT_READY_TIMEOUT_SECS", "SMOLVM_LIB_DIR")
_PLACES = ("HOME", *_OWN_VARIABLES)
# What a failure's text says, and what to do about it.
_HINTS = (
    ("KvmOpen", "let this user open /dev/kvm: sudo usermod -aG kvm $USER, then log in again"),
    ("No space left", "free some disk space; smolvm keeps its disks below ~/.cache/smolvm"),
    ("no boot progress", "this machine may be too busy to boot another: try again when less runs on it"),
)


@dataclass(frozen=True)
class Machine:
    """One machine as smolvm lists it. ``state`` is in its words: created, running, stopped, failed, unreachable ..."""

    name: str
    state: str
    pid: int | None
    cpus: int
    memory_mib: int
    image: str
    labels: Mapping[str, str]

    @property
    def is_at_rest(self) -> bool:
        """Whether there is nothing to stop: one that does not answer, or stands still, has processes all the same."""
        return self.state in _AT_REST and self.pid is None


@dataclass(frozen=True)
class Wanted:
    """A machine to make. ``sockets`` and what the Smolfile names are of the host; nothing here is secret."""

    name: str
    smolfile: Path
    labels: Mapping[str, str]
    sockets: Mapping[str, str]
    command: Sequence[str]


def find() -> str:
    """Return where ``smolvm`` is: on the PATH, else in the package ``smolmachines``. Raises ``UnavailableError``."""
    found = shutil.which("smolvm") or _packaged()
    if found is None:
        raise UnavailableError("smolvm is not installed", hint=INSTALL_HINT)
    return found


def _packaged() -> str | None:
    """Return the program that the package brings. Under its own name, each call would print a note."""
    spec = importlib.util.find_spec("smol")
    if spec is None or not spec.origin:
        return None
    shipped, named = (Path(spec.origin).with_name(name) for name in ("smol-vmm", "smolvm"))
    if not shipped.is_file():
        return None
    if not named.exists() or not named.samefile(shipped):
        try:
            shipped.chmod(shipped.stat().st_mode | 0o111)
            named.unlink(missing_ok=True)
            os.link(shipped, named)
        except OSError:
            return str(shipped)
    return str(named)


def environ() -> dict[str, str]:
    """Return the variables smolvm is started with: where its files are, and nothing secret."""
    own = {name: os.environ[name] for name in _OWN_VARIABLES if name in os.environ}
    return {**scrubbed_environ(), **own}


def mounts_sockets(smolvm: str) -> bool:
    """Say whether this smolvm can show a host's socket to a machine; asked once for each file of that age."""
    return _mounts_sockets(smolvm, Path(smolvm).stat().st_mtime_ns)


@functools.cache
def _mounts_sockets(smolvm: str, _changed: int) -> bool:
    return "--mount-socket" in Smolvm(smolvm).call(["machine", "create", "--help"], LOOK_TIMEOUT_S)


class Smolvm:
    """The program at one path. Each failure is a ``BottlemuxError`` in smolvm's own words."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.environ = environ()

    def version(self) -> str:
        """Return name and version, as the program says them."""
        return self.call(["--version"], LOOK_TIMEOUT_S).strip()

    def machines(self) -> list[Machine]:
        """Return all machines of this user, in one call."""
        return parse_machines(self.call(["machine", "ls", "--json"], LOOK_TIMEOUT_S))

    def machine(self, name: str) -> Machine | None:
        """Return the machine ``name``; ``None`` where there is none."""
        return next((one for one in self.machines() if one.name == name), None)

    def create(self, wanted: Wanted) -> None:
        """Make, not start, a machine. It gets no network: nothing here could ask for one."""
        labels = [word for item in wanted.labels.items() for word in ("--label", "=".join(item))]
        sockets = [word for pair in wanted.sockets.items() for word in ("--mount-socket", ":".join(pair))]
        words = ["create", "--name", wanted.name, "--smolfile", str(wanted.smolfile), *labels, *sockets]
        self.call(["machine", *words, "--", *wanted.command], CHANGE_TIMEOUT_S)

    def resize(self, name: str, cpus: int, memory_mib: int) -> None:
        """Give a stopped machine other resources."""
        words = ["update", "--name", name, "--cpus", str(cpus), "--mem", str(memory_mib)]
        self.call(["machine", *words], CHANGE_TIMEOUT_S)

    def start(self, name: str) -> None:
        """Boot a machine and wait until it answers. One that runs is no error."""
        self.call(["machine", "start", "--name", name], START_TIMEOUT_S)

    def stop(self, name: str) -> None:
        """End a machine, by force where it does not answer; its disk stays. One that ended or is gone is no error."""
        self._call_unless_gone(["machine", "stop", "--name", name, "--timeout", "1"])

    def delete(self, name: str) -> None:
        """Remove a machine and its disk; one that is gone is no error."""
        self._call_unless_gone(["machine", "delete", "--name", name, "-f"])

    def _call_unless_gone(self, words: Sequence[str]) -> None:
        try:
            self.call(words, CHANGE_TIMEOUT_S)
        except BottlemuxError as error:
            if "vm not found" not in error.message:
                raise

    def exec_argv(self, name: str, argv: Sequence[str], *, tty: bool) -> list[str]:
        """Return the command that runs ``argv`` in a running machine, as its root.

        With a terminal, the program learns of the one that this command is given, when it is given it.
        """
        # A pane has tmux's environment, which knows nothing of where smolvm's files are.
        places = [f"{name}={self.environ[name]}" for name in _PLACES if name in self.environ]
        command = ["/usr/bin/env", *places, self.program, "machine", "exec", "--name", name, "-i"]
        if not tty:
            return [*command, "--", *argv]
        told = " ".join(f'-e "{variable}=${variable}"' for variable in TERMINAL_VARIABLES)
        return ["/bin/sh", "-c", f'exec {shlex.join(command)} -t {told} -- "$@"', "sh", *argv]

    def call(self, words: Sequence[str], timeout: float) -> str:
        """Run smolvm to its end and return what it printed."""
        done = run([self.program, "--error-format", "json", *words], timeout=timeout, env=self.environ)
        if done.returncode != 0:
            raise _failure(" ".join(words[:2]), done.stderr.decode(errors="replace"))
        return done.stdout.decode(errors="replace")


def _failure(doing: str, complaint: str) -> BottlemuxError:
    reason = complaint.strip().splitlines()[-1:] or ["no reason given"]
    text = reason[0]
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["error"]["message"])
    hint = next((hint for sign, hint in _HINTS if sign in text), "")
    return BottlemuxError(f"smolvm {doing}: {' '.join(text.split())[:400]}", hint=hint)


def parse_machines(text: str) -> list[Machine]:
    """Return the machines of ``machine ls --json``; what is not of that form is a ``BottlemuxError``."""
    try:
        return [_machine(item) for item in _array(json.loads(text))]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BottlemuxError(
            f"smolvm's list of machines cannot be read ({type(error).__name__})", hint="bottlemux doctor"
        ) from error


def _array(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise TypeError("not an array")
    return cast("list[dict[str, Any]]", value)


def _machine(item: dict[str, Any]) -> Machine:
    pid = item.get("pid")
    return Machine(
        name=str(item["name"]),
        state=str(item["state"]),
        pid=int(pid) if pid is not None else None,
        cpus=int(item["cpus"]),
        memory_mib=int(item["memory_mib"]),
        image=str(item.get("image") or ""),
        labels={str(key): str(value) for key, value in dict(item.get("labels") or {}).items()},
    )
