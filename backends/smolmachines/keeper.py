"""Keeps one bottle's machine, as the supervisor's child: boots it, and ends it when the supervisor goes.

It opens the sidecars' sockets and hands them over, since a machine is shown sockets of this machine. How the boot
went is told on ``PROGRESS_FD``, a JSON object. The machine is nobody's child: where this process is killed, it runs
on without network until ``stop``, ``resume`` or ``cleanup`` finds it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from backends.smolmachines.tool import Smolvm, Wanted
from bottlemux.errors import BottlemuxError
from bottlemux.process import run
from sidecars import wire
from sidecars.launch import SYNC_FD

ORDERS_FD = 12
PROGRESS_FD = 13
READY_TIMEOUT_S = 60.0
_POLL_S = 0.1
_PAUSE_S = 1.0
_WORTH_ANOTHER = ("before the agent was ready", "no boot progress")
_BACKLOG = 256
_CHECK_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Orders:
    """What to keep. ``listen`` are the sidecars' sockets by service; ``check`` ends well in a machine that is ready.

    One that is ``resumed`` may have its machine already.
    """

    smolvm: str
    name: str
    resumed: bool
    smolfile: str
    labels: dict[str, str]
    sockets: dict[str, str]
    listen: dict[str, str]
    command: list[str]
    check: list[str]
    cpus: int
    memory_mib: int

    def encode(self) -> bytes:
        """Return the orders as the keeper reads them."""
        return json.dumps(asdict(self)).encode()


def main() -> None:
    """Keep the machine that ``ORDERS_FD`` describes until the supervisor closes its end of ``SYNC_FD``."""
    with os.fdopen(ORDERS_FD, "rb") as stream:
        orders = Orders(**json.load(stream))
    for inherited in (SYNC_FD, PROGRESS_FD):
        os.set_inheritable(inherited, False)
    sync = socket.socket(fileno=SYNC_FD)
    _hand_over(sync, orders.listen)
    smolvm = Smolvm(orders.smolvm)
    pids: list[int] = []
    boot = threading.Thread(target=_boot_and_tell, args=(smolvm, orders, pids), daemon=True)
    boot.start()
    while boot.is_alive() and not _ended(sync, _POLL_S):
        boot.join(0)
    if pids:
        with contextlib.suppress(OSError):
            wire.send(sync, [str(pids[0]).encode()])
        _wait(sync, pids[0])
    # First the way out: where the end takes too long, the supervisor kills this process.
    for path in orders.listen.values():
        Path(path).unlink(missing_ok=True)
    # A start that is under way is cut off by this.
    with contextlib.suppress(BottlemuxError):
        smolvm.stop(orders.name)


def _hand_over(sync: socket.socket, listen: dict[str, str]) -> None:
    listeners: list[socket.socket] = []
    for path in listen.values():
        Path(path).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen(_BACKLOG)
        listeners.append(listener)
    wire.send(sync, [name.encode() for name in listen], [one.fileno() for one in listeners])
    for listener in listeners:
        listener.close()


def _ended(sync: socket.socket, seconds: float) -> bool:
    """Wait so long for the end of the supervisor, which never says anything else."""
    return bool(select.select([sync], [], [], seconds)[0])


def _boot_and_tell(smolvm: Smolvm, orders: Orders, pids: list[int]) -> None:
    """Boot, tell the launcher how that went, and then, which it need not wait for, find the monitor's process id."""
    try:
        boot(smolvm, orders)
    except BottlemuxError as error:
        _tell({"error": error.message, "hint": error.hint})
        return
    _tell({"ready": True})
    if (pid := _monitor(smolvm, orders.name)) is not None:
        pids.append(pid)


def _tell(outcome: dict[str, object]) -> None:
    with contextlib.suppress(OSError), os.fdopen(PROGRESS_FD, "wb") as stream:
        stream.write(json.dumps(outcome).encode())


def _monitor(smolvm: Smolvm, name: str) -> int | None:
    """Return the process id of a machine's monitor, None where it ended; smolvm is asked until it answers."""
    while True:
        try:
            running = smolvm.machine(name)
        except BottlemuxError as error:
            sys.stderr.write(f"smolvm does not say what runs: {error.message}\n")
            sys.stderr.flush()
            time.sleep(_PAUSE_S)
        else:
            return running.pid if running else None


def boot(smolvm: Smolvm, orders: Orders) -> None:
    """Have the machine running and its view made."""
    found = smolvm.machine(orders.name) if orders.resumed else None
    if found is None:
        smolvm.create(
            Wanted(orders.name, Path(orders.smolfile), orders.labels, orders.sockets, orders.command)
        )
    else:
        if not found.is_at_rest:  # it outlived its keeper
            smolvm.stop(orders.name)
        if (found.cpus, found.memory_mib) != (orders.cpus, orders.memory_mib):
            smolvm.resize(orders.name, orders.cpus, orders.memory_mib)
    _start(smolvm, orders.name)
    _await_view(smolvm, orders)


def _start(smolvm: Smolvm, name: str) -> None:
    """Boot; about one boot in a hundred ends for no reason, and on a busy machine one stalls, so a second is tried."""
    try:
        smolvm.start(name)
    except BottlemuxError as error:
        if not any(sign in error.message for sign in _WORTH_ANOTHER) or "Kvm" in error.message:
            raise
        smolvm.start(name)


def _await_view(smolvm: Smolvm, orders: Orders) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while problem := _check(smolvm, orders):
        if time.monotonic() > deadline:
            raise BottlemuxError(
                f"the machine runs, but not what makes a bottle of it: {problem[:300]}",
                hint="its image needs python3 and a shell; smolvm machine logs says more",
            )
        time.sleep(_POLL_S)


def _check(smolvm: Smolvm, orders: Orders) -> str:
    """Return why the machine is not ready; empty where it is."""
    try:
        argv = smolvm.exec_argv(orders.name, orders.check, tty=False)
        done = run(argv, timeout=_CHECK_TIMEOUT_S, env=smolvm.environ)
    except BottlemuxError as error:
        return error.message
    complaint = done.stderr.decode(errors="replace").strip() or "no reason given"
    return complaint.splitlines()[-1] if done.returncode != 0 else ""


def _wait(sync: socket.socket, pid: int) -> None:
    """Wait until the supervisor or the machine ends."""
    try:
        machine = os.pidfd_open(pid)
    except OSError:
        return
    try:
        select.select([sync.fileno(), machine], [], [])
    finally:
        os.close(machine)


if __name__ == "__main__":
    main()
    sys.exit(0)
