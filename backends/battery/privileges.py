"""Becoming more than the bottle's user."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .calls import call
from .case import Broken, Table, Targets, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TABLE = Table("privileges")
_EXPECTED = {"NoNewPrivs": "1", "Seccomp": "2"}
_SCRATCH_PLACES = ("/tmp", "/workspace", "/home/node")  # noqa: S108 - inside the bottle


def _status(path: str) -> dict[str, str]:
    lines = Path(path).read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _weak(status: dict[str, str]) -> list[str]:
    found = [f"{name}={status[name]}" for name, value in _EXPECTED.items() if status.get(name) != value]
    return found + [
        f"{name}={value}" for name, value in status.items() if name.startswith("Cap") and int(value, 16)
    ]


@TABLE.case("processes", "a process with a capability, without filter, or that may gain privileges", "none")
def _processes(_: Targets) -> str:
    paths = list(Path("/proc").glob("[0-9]*/status"))
    for path in paths:
        try:
            status = _status(str(path))
        except OSError:
            continue
        if weak := _weak(status):
            raise Broken(f"process {path.parent.name} ({status['Name']}): {' '.join(weak)}")
    return f"{len(paths)} processes, process 1 among them"


@TABLE.case("exec", "the same of a program that is started", "confined alike")
def _after_exec(_: Targets) -> str:
    done = subprocess.run(["/bin/cat", "/proc/self/status"], capture_output=True, text=True, check=True)
    status = {
        name: value.strip() for name, _, value in (line.partition(":") for line in done.stdout.splitlines())
    }
    if weak := _weak(status):
        raise Broken(" ".join(weak))
    return "no capability, filtered"


@TABLE.case("user", "who the bottle's user is", "node, not root, no other group")
def _user(_: Targets) -> str:
    identity = (os.getuid(), os.geteuid(), os.getgid(), os.getegid())
    others = set(os.getgroups()) - {os.getgid(), 65534}
    name = pwd.getpwuid(os.getuid()).pw_name
    if 0 in identity or len(set(identity[:2])) > 1 or name != "node" or others:
        raise Broken(f"{name}, {identity}, groups {sorted(others)}")
    return f"{name}, {os.getuid()}"


@TABLE.case("identity", "setuid, setgid, setgroups, setresuid to root and to another user")
def _identity(_: Targets) -> str:
    attempts: dict[str, Callable[[], object]] = {
        "setuid": lambda: os.setuid(0),
        "setgid": lambda: os.setgid(0),
        "setgroups": lambda: os.setgroups([0]),
        "setresuid": lambda: os.setresuid(0, 0, 0),
    }
    outcome = ""
    for name, attempt in attempts.items():
        try:
            attempt()
        except OSError as error:
            outcome = error.strerror or str(error)  # an id that is not mapped is EINVAL, also a refusal
        else:
            raise Broken(f"{name} worked")
    return outcome


@TABLE.case(
    "setuid-programs", "su, sudo, pkexec, mount, newgrp and every other set-user-id program", "nothing gained"
)
def _setuid_programs(_: Targets) -> str:
    for argv in (
        ["su", "-c", "id -u"],
        ["sudo", "-n", "id", "-u"],
        ["pkexec", "id", "-u"],
        ["mount", "-t", "tmpfs", "x", "/mnt"],
    ):
        try:
            done = subprocess.run(
                argv, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=60
            )
        except (FileNotFoundError, PermissionError):
            continue
        if done.returncode == 0:
            raise Broken(f"{argv[0]} worked: {done.stdout!r}")
    return f"{len(list(_find_setuid_programs()))} such programs are visible, and none works"


def _find_setuid_programs() -> Iterator[str]:
    for directory in ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin"):
        try:
            yield from (entry.path for entry in os.scandir(directory) if entry.stat().st_mode & 0o6000)
        except OSError:
            continue


@TABLE.case("set-user-id-files", "make one where others of the host can run it")
def _setuid_files(_: Targets) -> str:
    outcome = ""
    for place in _SCRATCH_PLACES:
        with tempfile.NamedTemporaryFile(dir=place) as file:
            outcome = refused(f"chmod in {place}", Path(file.name).chmod, 0o4755)
            refused(f"fchmod in {place}", os.fchmod, file.fileno(), 0o4755)
            refused(f"open in {place}", os.open, f"{file.name}.made", os.O_CREAT | os.O_WRONLY, 0o4755)
    return outcome


@TABLE.case("names-of-the-machine", "sethostname, setdomainname")
def _machine_names(_: Targets) -> str:
    refused("setdomainname", call, "setdomainname", b"x", 1)
    return refused("sethostname", call, "sethostname", b"x", 1)
