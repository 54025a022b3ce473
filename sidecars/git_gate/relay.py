"""git's pre-receive hook: it hands the push to the gate and prints what the gate says. It decides nothing.

Run as a script with ``python -I -S``, with the gate's socket as an inherited descriptor. No answer is a
refusal.
"""

import os
import socket
import sys

ACCEPT = b"accept\n"
SAY = b" "


def main() -> int:
    """Return the hook's exit code: 0 only when the gate's last word was to accept."""
    with socket.socket(fileno=int(os.environ["GIT_GATE_FD"])) as gate:
        quarantine = os.fsencode(os.environ.get("GIT_QUARANTINE_PATH", ""))
        gate.sendall(quarantine + b"\n" + sys.stdin.buffer.read())
        gate.shutdown(socket.SHUT_WR)
        line = b""
        for line in gate.makefile("rb"):
            if line.startswith(SAY):
                sys.stderr.buffer.write(line[len(SAY) :])
                sys.stderr.buffer.flush()
    return 0 if line == ACCEPT else 1


if __name__ == "__main__":
    sys.exit(main())
