"""Process 1 of the sidecars' container: takes its orders from standard input, then supervises.

The launcher writes one line a message and reads one line a reply: the spec, secrets included, and what is known of
this container; ``ready`` once every sidecar accepts connections; then the bottle's process id, upon which this process
takes the bottle's lock (the launcher lets go of it) and answers ``held``. From then on it needs no launcher. When
the launcher goes away before that, everything ends.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from sidecars.launch import KEYS, decode
from sidecars.supervisor import LaunchError, Supervisor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

LOCK_TIMEOUT_S = 10


def main() -> None:
    """Serve one bottle to its end."""
    order = _read()
    _keep(order["keys"])
    spec = decode(str(order["spec"]))
    lock = os.open(str(order["lock"]), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    supervisor = Supervisor(
        spec, [], lock, _listeners(str(order["address"]), order["ports"]), {"supervisor_pid": order["pid"]}
    )
    supervisor.run(lambda message: _hand_over(supervisor, message))


def _keep(keys: Mapping[str, str]) -> None:
    """Write git's keys, where they come with the order: ssh reads them from files."""
    for name, text in keys.items():
        os.makedirs(KEYS, mode=0o700, exist_ok=True)  # noqa: PTH103
        descriptor = os.open(f"{KEYS}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)


def _hand_over(supervisor: Supervisor, message: dict[str, object]) -> None:
    _write(message)
    if "error" in message:
        return
    supervisor.known["init_pid"] = _read()["init_pid"]
    _take(supervisor.lock)
    supervisor.report()
    _write({"held": True})
    # Nobody reads this any more; what a sidecar prints goes to its log.
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)


def _take(lock: int) -> None:
    """Wait for the launcher to let go of the lock, and take it."""
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(LOCK_TIMEOUT_S)
    fcntl.flock(lock, fcntl.LOCK_EX)
    signal.alarm(0)


def _give_up(_number: int, _frame: FrameType | None) -> None:
    raise LaunchError("the launcher did not let go of the bottle's lock")


def _listeners(address: str, ports: Mapping[str, int]) -> dict[str, socket.socket]:
    """Listen on the bottle's own network only: this container has another one to the outside."""
    return {name: socket.create_server((address, port), backlog=256) for name, port in ports.items()}


def _read() -> dict[str, Any]:
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        raise LaunchError("the launcher went away")
    message: dict[str, Any] = json.loads(line)
    return message


def _write(message: dict[str, object]) -> None:
    sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    from sidecars.supervisor import preload

    # Nothing that is loaded here is ever given up: not looking for garbage in it saves a tenth of the time.
    gc.disable()
    preload()
    gc.freeze()
    gc.enable()
    main()
