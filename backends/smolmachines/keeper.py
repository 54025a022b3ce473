"""Keeps one bottle's machine, as the supervisor's child: boots it, and ends it when the supervisor goes.

It opens the sidecars' sockets and hands them over, since a machine is shown sockets of this machine, and one of its
own, on which guest init tells that the machine is ready. How the boot went is told on ``PROGRESS_FD``, a JSON object.
The machine is nobody's child: where this process is killed, it runs on without network until ``stop``, ``resume`` or
``cleanup`` finds it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from backends.smolmachines.tool import Smolvm, Wanted
from bottlemux.errors import BottlemuxError
from bottlemux.text import printable
from sidecars import wire
from sidecars.launch import SYNC_FD

ORDERS_FD = 12
PROGRESS_FD = 13
READY = "ready"
"""The line by which guest init says that programs can be let in; any other one says why not."""
ENDED_BY_ITSELF = "the machine ended by itself"
"""The line in the bottle's log by which a machine that nobody ended is known."""
READY_TIMEOUT_S = 60.0
TOLD_TIMEOUT_S = 3.0
_POLL_S = 0.1
_WORTH_ANOTHER = (
    "before the agent was ready",
    "no boot progress",
    "connection closed",
    "Connection reset",
    "Broken pipe",
)
_BACKLOG = 256
_LONGEST_REPORT = 4096
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True)
class Orders:
    """What to keep. ``listen`` are the sidecars' sockets by service, ``report`` is where guest init tells how it went.

    One that is ``resumed`` may have its machine already.
    """

    smolvm: str
    name: str
    resumed: bool
    smolfile: str
    labels: dict[str, str]
    sockets: dict[str, str]
    listen: dict[str, str]
    report: str
    command: list[str]
    cpus: int
    memory_mib: int

    def encode(self) -> bytes:
        """Return the orders as the keeper reads them."""
        return json.dumps(asdict(self)).encode()


@dataclass
class Boot:
    """One machine on its way: ``guest`` is the connection to its guest init, once that has told of itself.

    Nothing new is begun once ``ending`` is set.
    """

    smolvm: Smolvm
    orders: Orders
    ending: threading.Event = field(default_factory=threading.Event)
    guest: socket.socket | None = None

    def run(self) -> None:
        """Boot, and tell the launcher how that went."""
        try:
            self.guest = self._boot()
        except (BottlemuxError, OSError) as error:
            hint = error.hint if isinstance(error, BottlemuxError) else ""
            _tell({"error": str(error), "hint": hint})
        else:
            _tell({"ready": True})

    def _boot(self) -> socket.socket:
        self._make()
        try:
            return self._start()
        except BottlemuxError as error:
            # About one boot in a hundred ends for no reason, and on a busy machine one stalls.
            if not any(sign in error.message for sign in _WORTH_ANOTHER) or "Kvm" in error.message:
                raise
            return self._start()

    def _make(self) -> None:
        """Have the machine, with what is ordered, at rest."""
        smolvm, orders = self.smolvm, self.orders
        found = smolvm.machine(orders.name) if orders.resumed else None
        if found is None:
            smolvm.create(
                Wanted(orders.name, Path(orders.smolfile), orders.labels, orders.sockets, orders.command)
            )
            return
        if not found.is_at_rest:  # it outlived its keeper
            smolvm.stop(orders.name)
        if (found.cpus, found.memory_mib) != (orders.cpus, orders.memory_mib):
            smolvm.resize(orders.name, orders.cpus, orders.memory_mib)

    def _start(self) -> socket.socket:
        """Start the machine; return the connection on which its guest init has said that all is ready."""
        with _listener(self.orders.report) as reports:
            self._check_wanted()
            self.smolvm.start(self.orders.name)
            guest = self._accept(reports)
        Path(self.orders.report).unlink(missing_ok=True)
        try:
            problem = _read_report(guest)
        except OSError as error:
            problem = str(error) or type(error).__name__
        if problem != READY:
            guest.close()
            raise _not_made(problem or "it has ended")
        return guest

    def _accept(self, reports: socket.socket) -> socket.socket:
        """Return the connection of the guest init of a machine that runs."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not select.select([reports], [], [], _POLL_S)[0]:
            self._check_wanted()
            if time.monotonic() > deadline:
                raise _not_made("it does not start")
        guest, _address = reports.accept()
        guest.settimeout(READY_TIMEOUT_S)
        return guest

    def _check_wanted(self) -> None:
        if self.ending.is_set():
            raise BottlemuxError("its end is wanted already")


def main() -> None:
    """Keep the machine that ``ORDERS_FD`` describes until the supervisor closes its end of ``SYNC_FD``."""
    with os.fdopen(ORDERS_FD, "rb") as stream:
        orders = Orders(**json.load(stream))
    for inherited in (SYNC_FD, PROGRESS_FD):
        os.set_inheritable(inherited, False)
    sync = socket.socket(fileno=SYNC_FD)
    _hand_over(sync, orders.listen)
    boot = Boot(Smolvm(orders.smolvm), orders)
    thread = threading.Thread(target=boot.run, daemon=True)
    thread.start()
    while thread.is_alive() and not _ended(sync, _POLL_S):
        thread.join(0)
    if boot.guest is not None:
        pid = _process_of(boot.guest)
        with contextlib.suppress(OSError):
            wire.send(sync, [str(pid).encode()])
        _wait(sync, pid)
        _end_programs(boot.guest)
    boot.ending.set()
    # First the way out: where the end takes too long, the supervisor kills this process.
    for path in (*orders.listen.values(), orders.report):
        Path(path).unlink(missing_ok=True)
    _end_machine(boot, thread)


def _hand_over(sync: socket.socket, listen: dict[str, str]) -> None:
    listeners = [_listener(path) for path in listen.values()]
    wire.send(sync, [name.encode() for name in listen], [one.fileno() for one in listeners])
    for listener in listeners:
        listener.close()


def _listener(path: str) -> socket.socket:
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(_BACKLOG)
    return listener


def _ended(sync: socket.socket, seconds: float) -> bool:
    """Wait so long for the end of the supervisor, which never says anything else."""
    return bool(select.select([sync], [], [], seconds)[0])


def _tell(outcome: dict[str, object]) -> None:
    with contextlib.suppress(OSError), os.fdopen(PROGRESS_FD, "wb") as stream:
        stream.write(json.dumps(outcome).encode())


def _read_report(guest: socket.socket) -> str:
    said = b""
    while b"\n" not in said and len(said) < _LONGEST_REPORT and (more := guest.recv(_LONGEST_REPORT)):
        said += more
    return printable(said.decode(errors="replace").strip())


def _not_made(problem: str) -> BottlemuxError:
    return BottlemuxError(
        f"the machine runs, but not what makes a bottle of it: {problem[:300]}",
        hint="its image needs python3; smolvm machine logs says more",
    )


def _process_of(guest: socket.socket) -> int:
    """Return the process of this machine that has the other end of ``guest``: the one in which the machine runs."""
    told = guest.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(told)[0])


def _wait(sync: socket.socket, pid: int) -> None:
    """Wait until the supervisor or the machine ends, and note which one it was if it was the machine."""
    try:
        machine = os.pidfd_open(pid)
    except OSError:
        ready: list[int] = []
    else:
        ready = select.select([sync.fileno(), machine], [], [])[0]
        os.close(machine)
    if sync.fileno() not in ready:
        sys.stderr.write(f"{ENDED_BY_ITSELF}\n")
        sys.stderr.flush()


def _end_programs(guest: socket.socket) -> None:
    """Have guest init tell the agent's programs to end, and give them a moment."""
    guest.settimeout(TOLD_TIMEOUT_S)
    with contextlib.suppress(OSError):
        guest.sendall(b"\n")
        guest.recv(1)
    guest.close()


def _end_machine(boot: Boot, thread: threading.Thread) -> None:
    """Stop the machine; a start that is under way is cut off by that, or what it has started is stopped."""
    while True:
        under_way = thread.is_alive()
        with contextlib.suppress(BottlemuxError):
            boot.smolvm.stop(boot.orders.name)
        if not under_way:
            return
        thread.join(_POLL_S)


if __name__ == "__main__":
    main()
    sys.exit(0)
