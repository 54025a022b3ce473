"""Process 1 of the agent's container: collects what others leave and outlives whatever the agent kills.

Standard library only: it runs in the image's Python. When it is told to end, it tells all the others, waits a moment
until they have ended, and ends; that ends whoever is left.
"""

import ctypes
import os
import signal
import time

STOP_GRACE_S = 2.0
_PR_SET_DUMPABLE = 4
_PAUSE_S = 0.02
_SENT_BY_KILL = 0


def main() -> None:
    """Reap until SIGTERM arrives from outside, then end with all others."""
    # Same user as the agent: without this, the agent could attach to process 1.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    # Python itself would end by some of them.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while not _is_from_outside(signal.sigwaitinfo({signal.SIGCHLD, signal.SIGTERM})):
        _reap()
    _end()


def _is_from_outside(received: signal.struct_siginfo) -> bool:
    """Say whether it is the order to end: whoever sends that from outside has no number in here.

    Only the kernel can say that a signal was sent with ``kill``. It says so too of one whose sender it has no room to
    note; the system call filter keeps those from this process.
    """
    return received.si_signo == signal.SIGTERM and received.si_code == _SENT_BY_KILL and received.si_pid == 0


def _end() -> None:
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGCONT):
        _tell_all(number)
    deadline = time.monotonic() + STOP_GRACE_S
    while _any_other_left() and time.monotonic() < deadline:
        signal.sigtimedwait({signal.SIGCHLD}, _PAUSE_S)
        _reap()


def _tell_all(number: int) -> None:
    try:
        os.kill(-1, number)
    except (ProcessLookupError, PermissionError):
        return


def _any_other_left() -> bool:
    return any(name.isdigit() and name != "1" for name in os.listdir("/proc"))


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


if __name__ == "__main__":
    main()
