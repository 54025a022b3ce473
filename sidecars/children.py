"""What a supervisor's forked children do to become the bottle or a sidecar, and small words about processes."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecars.launch import BottleProcess

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_ABOVE_TARGETS = 64


def become_bottle(bottle: BottleProcess, descriptors: Mapping[int, int], log: Path) -> None:
    """Turn this process into the bottle's, with ``descriptors`` (number there to number here); never returns."""
    for group in bottle.cgroups:
        Path(group, "cgroup.procs").write_text(str(os.getpid()))
    redirect_output(log)
    # A source may sit on another one's target number: move all of them out of the way first.
    moved = {
        target: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _ABOVE_TARGETS)
        for target, source in descriptors.items()
    }
    for target, source in moved.items():
        os.dup2(source, target, inheritable=True)
    _restore_signals(signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE)
    os.chdir("/")
    os.execve(bottle.argv[0], list(bottle.argv), bottle.environ)


def prepare_sidecar(name: str, log: Path, parent: int) -> None:
    """Make this process a sidecar's: named, ended with the process ``parent``, writing to ``log``."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it ended before the kernel was asked to tell
    set_name(f"bm-{name}")
    _restore_signals(signal.SIGCHLD, signal.SIGTERM)
    redirect_output(log)


def keep_only(*descriptors: int) -> None:
    """Close all of this process's descriptors but ``descriptors`` and the standard streams.

    For a fork that never returns to what it was forked from: the objects there no longer hold what they say.
    """
    kept = {0, 1, 2, *descriptors}
    for number in [int(name) for name in os.listdir("/proc/self/fd")]:
        if number not in kept:
            with contextlib.suppress(OSError):  # the one that listed them is closed already
                os.close(number)


def _restore_signals(*numbers: signal.Signals) -> None:
    signal.set_wakeup_fd(-1)
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)


def redirect_output(log: Path) -> None:
    """Read from nothing and append what is written to ``log``, which is made (0600) and never a link."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    os.close(null)


def set_name(name: str) -> None:
    """Set what ``ps`` and ``top`` call this process, 15 bytes of it."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def start_time(pid: int) -> int:
    """Return when ``pid`` started, in clock ticks since boot: with the number, it names a process for good."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def kill(pid: int, number: int) -> None:
    """Send a signal to ``pid`` unless it is 0 or gone."""
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
