"""A stand-in for smolvm whose machines are processes that wait; it answers as smolvm 1.32 was seen to answer.

What is tested with it needs machines that run, and no kernel in them: what is said to smolvm, and what becomes of a
machine whose monitor is stopped or killed. Run as ``standin.py DIRECTORY WORDS...``.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MACHINE = {"state": "created", "pid": None, "cpus": 1, "memory_mib": 768, "image": None, "labels": {}}
WEIGHT_MIB = 48
_MONITOR = f"""
import socket, sys, time
weight = bytearray({WEIGHT_MIB} << 20)
path, said, asked = sys.argv[1:]
if said:
    guest = socket.socket(socket.AF_UNIX)
    guest.connect(path)
    guest.sendall(said.encode())
    if guest.recv(1):
        open(asked, "w").close()
        guest.close()
time.sleep(1000)
"""


class StandIn:
    """The program in ``directory``, and its machines as a test sees and sets them."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self.program = str(directory / "smolvm")
        command = shlex.join([sys.executable, "-I", "-S", __file__, str(directory)])
        Path(self.program).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        Path(self.program).chmod(0o755)

    def add(self, name: str, **changes: object) -> None:
        """Have a machine called ``name``."""
        _write(self.directory, {**MACHINE, "name": name, **changes})

    def set_state(self, name: str, state: str) -> None:
        """Have a machine listed as ``state``, whatever its process does."""
        _write(self.directory, {**_read(self.directory, name), "state": state})

    def machine(self, name: str) -> dict[str, Any]:
        """Return how the machine ``name`` is listed."""
        return _listed(_read(self.directory, name))

    def names(self) -> list[str]:
        """Return what the machines are called."""
        return [file.stem for file in self.directory.glob("*.json")]

    @property
    def calls(self) -> list[str]:
        """What was called so far: a subcommand of ``smolvm machine`` a call."""
        log = self.directory / "calls"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def stalls(self) -> Path:
        """Where this file exists, the next start fails as one that makes no progress does."""
        return self.directory / "stalls"

    @property
    def never_boots(self) -> Path:
        """While this file exists, a start does not come to its end."""
        return self.directory / "never-boots"

    @property
    def says(self) -> Path:
        """What guest init of machines that are started tells in place of being ready; nothing where it is empty."""
        return self.directory / "says"

    @property
    def asked(self) -> bool:
        """Whether a guest init was asked to end the agent's programs."""
        return (self.directory / "asked").exists()

    @property
    def fails(self) -> Path:
        """The subcommands that this file has in it fail."""
        return self.directory / "fails"

    def is_busy(self) -> bool:
        """Whether a call is under way."""
        mine = f"standin.py\0{self.directory}\0"
        return any(
            mine in _text(entry / "cmdline") for entry in Path("/proc").iterdir() if entry.name.isdigit()
        )

    def end(self) -> None:
        """End all machines."""
        for file in self.directory.glob("*.json"):
            _kill(json.loads(file.read_text())["pid"])


def main(directory: Path, words: list[str]) -> int:
    if words[:1] == ["--error-format"]:
        words = words[2:]
    verb = words[1]
    name = words[words.index("--name") + 1] if "--name" in words else ""
    with (directory / "calls").open("a") as log:
        log.write(f"{verb}\n")
    fails = directory / "fails"
    if fails.exists() and verb in fails.read_text().split():
        return _fail("disk I/O error")
    if verb == "ls":
        machines = [_listed(json.loads(one.read_text())) for one in sorted(directory.glob("*.json"))]
        sys.stdout.write(json.dumps(machines) + "\n")
    elif verb == "create":
        labels = dict(words[at + 1].split("=") for at, word in enumerate(words) if word == "--label")
        shown = dict(words[at + 1].split(":") for at, word in enumerate(words) if word == "--mount-socket")
        (keeper,) = [here for here, there in shown.items() if there.endswith("/keeper.sock")]
        (directory / f"{name}.keeper").write_text(keeper)
        _write(directory, {**MACHINE, "name": name, "labels": labels})
    elif verb == "start" and (directory / "stalls").exists():
        (directory / "stalls").unlink()
        return _fail("agent did not become ready within 30 seconds: no boot progress for 30 seconds")
    elif not (directory / f"{name}.json").exists():
        return _fail(f"vm not found: {name}")
    elif verb != "exec":
        _change(directory, verb, _read(directory, name))
    return 0


def _change(directory: Path, verb: str, machine: dict[str, Any]) -> None:
    if verb in ("stop", "delete"):
        _kill(machine["pid"])
        _write(directory, {**machine, "pid": None, "state": "stopped"})
    if verb == "delete":
        (directory / f"{machine['name']}.json").unlink()
    if verb == "start":
        while (directory / "never-boots").exists():
            time.sleep(0.01)
        says, keeper = directory / "says", directory / f"{machine['name']}.keeper"
        said = says.read_text() if says.exists() else "ready\n"
        monitor = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _MONITOR, keeper.read_text(), said, str(directory / "asked")],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _write(directory, {**machine, "pid": monitor.pid, "state": "running"})


def _fail(message: str) -> int:
    sys.stderr.write(json.dumps({"error": {"code": "SMOLVM_ERROR", "message": message}}) + "\n")
    return 1


def _listed(machine: dict[str, Any]) -> dict[str, Any]:
    if machine["state"] != "running":
        return machine
    seen = _state_letter(machine["pid"])
    if seen in "ZX":
        return {**machine, "pid": None, "state": "stopped"}
    return {**machine, "state": "unreachable"} if seen == "T" else machine


def _state_letter(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _kill(pid: int | None) -> None:
    if pid is not None and _state_letter(pid) != "X":
        os.kill(pid, signal.SIGKILL)


def _read(directory: Path, name: str) -> dict[str, Any]:
    machine: dict[str, Any] = json.loads((directory / f"{name}.json").read_text())
    return machine


def _write(directory: Path, machine: dict[str, Any]) -> None:
    fresh = directory / f"{machine['name']}.new"
    fresh.write_text(json.dumps(machine))
    fresh.rename(directory / f"{machine['name']}.json")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
