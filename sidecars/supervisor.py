"""Keeps one bottle's sidecars running, and the bottle itself where that is a process of this machine.

Forked from the zygote on a host, process 1 of the sidecars' container elsewhere. A dead sidecar is started again on
the listening socket it had, which stays open here, so the bottle is without network meanwhile and never around it.
When the supervisor ends, everything it started ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import selectors
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from sidecars import children, ipc, wire, zygote
from sidecars.launch import SYNC_FD, decode
from sidecars.logs import Log
from sidecars.services import MODULES, START_TIMEOUT_S, ServiceError, Services

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sidecars.launch import BottleProcess, SupervisorSpec

STOP_TIMEOUT_S = 5.0

_SILENT = "its log has nothing"


class LaunchError(Exception):
    """The bottle or a sidecar did not start; the text says why and holds no secret."""


@dataclass
class Supervisor:
    """Runs until the bottle ends or SIGTERM asks for its end.

    ``listeners`` are given where the bottle is a container; a bottle that is a process opens them itself. ``known``
    replaces what the report says of process ids, where those of this process's namespace mean nothing to its readers,
    or its child only keeps the bottle's machine.
    """

    spec: SupervisorSpec
    descriptors: list[int]
    lock: int
    listeners: dict[str, socket.socket] = field(default_factory=dict[str, socket.socket])
    known: dict[str, object] = field(default_factory=dict[str, object])
    bottle_pid: int = 0
    stopping: bool = False

    def run(self, tell: Callable[[dict[str, object]], object]) -> None:
        """Launch, ``tell`` the launcher how that went, then keep everything running."""
        self._wakeup, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, zygote.ignore)
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        self._sync, self._theirs = socket.socketpair()
        self._services = Services(self.spec.log_dir, _log)
        self._started_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._logs = {
            name: Log.from_now(self.spec.log_dir / f"{name}.log") for name in ("bottle", *self.spec.services)
        }
        try:
            self._launch()
            self.report()
        except (LaunchError, OSError) as error:
            self._end()
            os.close(self.lock)  # whoever reads the message removes the bottle's directory
            tell({"error": str(error)})
            return
        try:
            tell({"ready": True})
            self._watch()
        finally:
            self._end()

    def _ask_to_stop(self, *_: object) -> None:
        self.stopping = True

    # -- launching

    def _launch(self) -> None:
        if self.spec.bottle is None:
            self._theirs.close()
            listeners = self.listeners
        else:
            with self._theirs as theirs:
                self.bottle_pid = self._start_bottle(self.spec.bottle, theirs)
            listeners = self._receive_listeners()
        try:
            self._services.start(self.spec.services, listeners)
        except ServiceError as error:
            said = self._said(str(error)) or _SILENT
            raise LaunchError(f"the {error} sidecar did not start: {said}") from error

    def _receive_listeners(self) -> dict[str, socket.socket]:
        self._sync.settimeout(START_TIMEOUT_S)
        try:
            names, descriptors = wire.receive(self._sync)
        except (OSError, EOFError, ValueError) as error:
            raise LaunchError(f"the bottle did not start: {self._said('bottle') or error}") from error
        if names is None:
            raise LaunchError(f"the bottle did not start: {self._said('bottle') or _SILENT}")
        opened = zip(names, descriptors, strict=True)
        return {name.decode(): socket.socket(fileno=number) for name, number in opened}

    def _start_bottle(self, bottle: BottleProcess, sync: socket.socket) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                own = dict(zip(bottle.descriptors, self.descriptors, strict=True))
                log = self.spec.log_dir / "bottle.log"
                children.become_bottle(bottle, {SYNC_FD: sync.fileno(), **own}, log)
            finally:
                os._exit(127)
        for descriptor in self.descriptors:
            os.close(descriptor)
        return pid

    def _said(self, name: str) -> str:
        """Return what the bottle or a sidecar has said in its log of why it does not start."""
        return self.spec.without_secrets(self._logs[name].cause())

    # -- watching

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wakeup, selectors.EVENT_READ)
            if self.spec.bottle and self.spec.bottle.names_machine:
                selector.register(self._sync, selectors.EVENT_READ)
            while not self.stopping:
                ready = {key.fileobj for key, _events in selector.select(self._services.next_due())}
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakeup, 4096)
                if named := self._sync in ready:
                    selector.unregister(self._sync)
                    self._note_machine()
                if self._reap() or self._services.restart_due() or named:
                    self._report_if_possible()

    def _note_machine(self) -> None:
        """Report the process that the bottle's own names as its machine; that one may have ended instead."""
        with contextlib.suppress(OSError, EOFError, ValueError):
            fields, _descriptors = wire.receive(self._sync)
            if fields:
                self.known["init_pid"] = int(fields[0])

    def _reap(self) -> bool:
        changed = False
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                changed = True
                if ended[0] == self.bottle_pid:
                    self.bottle_pid, self.stopping = 0, True
                self._services.note_end(*ended)
        return changed

    def _report_if_possible(self) -> None:
        """A full disk leaves the last report standing; the bottle goes on."""
        try:
            self.report()
        except OSError as error:
            _log(f"the report cannot be written: {error}")

    def report(self) -> None:
        """Write what runs to the status file."""
        report = {
            "supervisor_pid": os.getpid(),
            "supervisor_start": children.start_time(os.getpid()),
            "started_at": self._started_at,
            "backend": self.spec.backend,
            "init_pid": self.bottle_pid,
            "services": self._services.states(),
            **self.known,
        }
        _write_json(self.spec.status_file, report)

    # -- ending

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self._sync.close()
        self._end_bottle()
        self._services.end()
        for group in self.spec.bottle.cgroups if self.spec.bottle else ():
            with contextlib.suppress(OSError):
                Path(group).rmdir()
        for name in (self.spec.status_file, self.spec.status_file.with_name("control.sock")):
            name.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.spec.status_file.parent.rmdir()

    def _end_bottle(self) -> None:
        """Closing the sync socket asks the bottle to end; after ``STOP_TIMEOUT_S`` it is killed."""
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self.bottle_pid:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(self.bottle_pid, os.WNOHANG)[0] == 0:
                    if time.monotonic() > deadline:
                        children.kill(self.bottle_pid, signal.SIGKILL)
                    time.sleep(0.01)
                    continue
            self.bottle_pid = 0


def preload() -> None:
    """Import everything that a forked supervisor or sidecar will need."""
    for module in MODULES.values():
        import_module(module).preload()


def preload_later() -> Sequence[str]:
    """Return the modules that a service loads when it is first used, for the zygote to load in a quiet moment."""
    return [name for module in MODULES.values() for name in getattr(import_module(module), "LATER", ())]


def serve(connection: socket.socket, message: dict[str, object], descriptors: list[int]) -> None:
    """Run the supervisor that ``message`` describes to its end; the first descriptor is the bottle's lock."""
    spec = decode(str(message["spec"]))
    lock, *rest = descriptors
    # A dump of a sidecar would hold credentials.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    children.set_name("bm-supervisor")
    children.redirect_output(spec.log_dir / "supervisor.log")
    Supervisor(spec, rest, lock).run(lambda message: _tell(connection, message))


def _tell(launcher: socket.socket, message: dict[str, object]) -> None:
    with launcher:
        ipc.send(launcher, message)


def _log(text: str) -> None:
    stamp = datetime.now(UTC).isoformat(timespec="seconds")
    sys.stderr.write(f"{stamp} {text}\n")
    sys.stderr.flush()


def _write_json(path: Path, value: object) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as stream:
            json.dump(value, stream)
        os.replace(temporary, path)  # noqa: PTH105
    except OSError:
        os.unlink(temporary)  # noqa: PTH108
        raise
