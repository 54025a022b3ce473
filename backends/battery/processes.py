"""Processes of others, process 1, and what was left open or lying about in one's own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from .calls import call
from .case import Broken, Table, Targets, fails, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = Table("processes")
_SI_QUEUE, _SIGINFO_BYTES = -1, 128
_PIDFD_THREAD = os.O_EXCL
_MANY = 1 << 20
_PTRACE_ATTACH, _PTRACE_SEIZE = 16, 0x4206
_SECRETS = re.compile(
    rb"sk-ant-|sk-[A-Za-z0-9]{20}|gh[pousr]_[A-Za-z0-9]{20}|AKIA[A-Z0-9]{16}|xox[abp]-|-----BEGIN [A-Z ]*PRIVATE KEY"
)
_HOST_VARIABLES = (
    "SSH_AUTH_SOCK", "SSH_CONNECTION", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "TMUX", "TMUX_PANE", "DISPLAY",
    "WAYLAND_DISPLAY", "SUDO_USER", "DOCKER_HOST", "AWS_SECRET_ACCESS_KEY", "GPG_AGENT_INFO", "BOTTLEMUX_STATE_DIR",
)  # fmt: skip
_OWN_KINDS = ("pipe:", "socket:", "anon_inode:", "/dev/", "/proc/", "/memfd:")


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


@TABLE.case("list", "see processes of the host or of other bottles", "own processes only")
def _listing(targets: Targets) -> str:
    pids = _pids()
    lines = {pid: _read(f"/proc/{pid}/cmdline").replace(b"\0", b" ") for pid in pids}
    parents = [_read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1:2] for pid in pids]
    if 2 in pids and lines[2] == b"" and b"kthreadd" in _read("/proc/2/comm"):
        raise Broken("the kernel's own threads are visible")
    if targets.process and any(targets.process.encode() in line for line in lines.values()):
        raise Broken(f"a process with {targets.process!r} in its command line is visible")
    return f"{len(pids)} processes, {len([one for one in parents if one == [b'0']])} of them without visible parent"


@TABLE.case("signals", "signal a process that is not the bottle's")
def _signals(_: Targets) -> str:
    own = set(_pids())
    hides_others = "hidepid=" in _read("/proc/mounts").decode(errors="replace")
    hidden = 0
    for pid in [*range(2, 5000), 32768, 65536]:
        if pid not in own:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                continue
            except PermissionError as error:
                if hides_others:  # then those of the machine's root are none that it could list
                    hidden += 1
                    continue
                raise Broken(f"there is a process {pid} of somebody else") from error
            if pid in _pids():
                continue
            raise Broken(f"process {pid} was signalled and is not listed")
    return (
        f"no process beyond those listed, but for {hidden} of the machine's root"
        if hidden
        else "none beyond those listed"
    )


@TABLE.case("ptrace-1", "attach to process 1, which the host talks through")
def _ptrace(_: Targets) -> str:
    refused("ptrace attach", call, "ptrace", _PTRACE_ATTACH, 1, 0, 0)
    return refused("ptrace seize", call, "ptrace", _PTRACE_SEIZE, 1, 0, 0)


@TABLE.case("proc-1", "read or write memory, environment, descriptors, root of process 1")
def _proc1(_: Targets) -> str:
    for name in ("mem", "environ", "maps", "auxv", "io", "stack", "syscall", "pagemap"):
        for flags in (os.O_RDONLY, os.O_WRONLY):
            try:
                descriptor = os.open(f"/proc/1/{name}", flags)
                if not os.read(descriptor, 1) and flags == os.O_RDONLY:
                    continue
            except OSError:
                continue
            raise Broken(f"/proc/1/{name} can be opened")
    for name in ("root", "cwd", "exe", "ns/net", *(f"fd/{number}" for number in range(15))):
        fails(name, Path(f"/proc/1/{name}").readlink)
    return fails("map_files", os.listdir, "/proc/1/map_files")


@TABLE.case("descriptors", "open files of the host in any process", "none")
def _descriptors(_: Targets) -> str:
    seen = 0
    for pid, link in _open_files():
        seen += 1
        path = link.removesuffix(" (deleted)")
        if link.startswith(_OWN_KINDS):
            continue
        if not Path(path).exists() and not link.endswith(" (deleted)"):
            raise Broken(f"process {pid} has {link} open, which is not of this bottle")
    return f"{seen} descriptors, all of this bottle"


def _open_files() -> Iterator[tuple[int, str]]:
    for pid in _pids():
        try:
            numbers = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for number in numbers:
            try:
                yield pid, os.readlink(f"/proc/{pid}/fd/{number}")  # noqa: PTH115 - the link's own text
            except OSError:
                continue


@TABLE.case(
    "environment",
    "secrets and names of the host's session in any environment or command line",
    "placeholders only",
)
def _environment(targets: Targets) -> str:
    secret = targets.secret.encode()
    for pid in _pids():
        for name in ("environ", "cmdline"):
            text = _read(f"/proc/{pid}/{name}")
            if (secret and secret in text) or _SECRETS.search(text):
                raise Broken(f"process {pid} has a secret in its {name}")
    if found := [name for name in _HOST_VARIABLES if name in os.environ]:
        raise Broken(f"variables of the host's session: {' '.join(found)}")
    return f"{len(os.environ)} variables, no secret"


@TABLE.case(
    "kill-everything", "kill all processes there are, process 1 first", "the bottle lives on", rough=True
)
def _kill_everything(_: Targets) -> str:
    """Try every signal in every way, and again with so many waiting that the kernel forgets who sends the next."""
    _send_all()
    _fill_the_queue()
    _send_all()
    os.kill(os.getppid(), 0)
    return "process 1 is still there" if _read("/proc/1/cmdline") else ""


def _send_all() -> None:
    parent = int(_read("/proc/1/stat").rpartition(b")")[2].split()[1])
    for pid in (1, *([parent] if parent else [])):
        for number in sorted(signal.valid_signals()):
            for send in (os.kill, _queue, _send_to_thread, _send_by_descriptor):
                with contextlib.suppress(OSError):
                    send(pid, number)


def _queue(pid: int, number: int) -> None:
    """Send it as one that somebody queued who has no process id here."""
    information = struct.pack("6i", number, 0, _SI_QUEUE, 0, 0, 0)
    call("rt_sigqueueinfo", pid, number, ctypes.create_string_buffer(information, _SIGINFO_BYTES))


def _send_to_thread(pid: int, number: int) -> None:
    call("tgkill", pid, pid, number)


def _send_by_descriptor(pid: int, number: int) -> None:
    descriptor = os.pidfd_open(pid, _PIDFD_THREAD)
    try:
        signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)


def _fill_the_queue() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
    with contextlib.suppress(BlockingIOError):
        for _ in range(_MANY):
            _queue(os.getpid(), signal.SIGRTMIN)
