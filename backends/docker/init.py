"""Process 1 of the agent's container: collects what others leave and outlives whatever the agent kills.

Standard library only: it runs in the image's Python. It ends at once when it is told to, and with it all the others.
"""

import ctypes
import os
import signal

_PR_SET_DUMPABLE = 4


def main() -> None:
    """Reap until SIGTERM arrives from outside: whoever sends it from there has no number in here."""
    # Same user as the agent: without this, the agent could attach to process 1.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    awaited = {signal.SIGCHLD, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    while True:
        received = signal.sigwaitinfo(awaited)
        if received.si_signo == signal.SIGTERM and received.si_pid == 0:
            return
        _reap()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


if __name__ == "__main__":
    main()
