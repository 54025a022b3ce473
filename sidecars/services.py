"""The sidecars of one bottle, as processes: started together, again one by one, ended together.

A dead one is started again on the listening socket it had, which stays open here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

from sidecars import children

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from pathlib import Path

START_TIMEOUT_S = 20.0
RESTART_DELAY_S = (0.05, 0.2, 1.0, 5.0)
STABLE_AFTER_S = 30.0
MODULES = {
    "egress": "sidecars.outbound",
    "git-gate": "sidecars.git_gate.service",
    "supervise": "sidecars.supervise.service",
}


class ServiceError(Exception):
    """A sidecar did not start; the text is its name."""


@dataclass
class _Service:
    name: str
    spec: object
    listener: socket.socket
    pid: int = 0
    restarts: int = 0
    started: float = 0.0
    due: float | None = None

    def state(self) -> dict[str, object]:
        return {
            "pid": self.pid,
            "restarts": self.restarts,
            "state": "running" if self.due is None else "restarting",
        }


@dataclass
class Services:
    """All sidecars of a bottle. None of them keeps a descriptor of their parent's but its own listener."""

    log_dir: Path
    log: Callable[[str], object]
    _all: dict[str, _Service] = field(default_factory=dict[str, _Service])

    def start(self, specs: Mapping[str, object], listeners: Mapping[str, socket.socket]) -> None:
        """Start what ``specs`` has, each on its listener, and wait until all accept connections.

        The listeners are owned from then on; one that no sidecar has is closed. Raises ``ServiceError``.
        """
        for name in listeners.keys() - specs.keys():
            listeners[name].close()
        self._all = {name: _Service(name, spec, listeners[name]) for name, spec in specs.items()}
        ready = [(service, self._start(service)) for service in self._all.values()]
        for service, pipe in ready:
            _await(service, pipe)

    def states(self) -> dict[str, dict[str, object]]:
        """Return each one's process id, how often it was started again, and whether it runs."""
        return {name: service.state() for name, service in self._all.items()}

    def note_end(self, pid: int, status: int) -> None:
        """Plan to start the one again that was the process ``pid``, sooner the longer it lived."""
        for service in self._all.values():
            if service.pid == pid:
                self._plan_restart(service, status)

    def next_due(self) -> float | None:
        """Return in how many seconds one has to be started again; ``None`` if all run."""
        due = [service.due for service in self._all.values() if service.due is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def restart_due(self) -> bool:
        """Start again what is due; return whether anything was."""
        now = time.monotonic()
        due = [service for service in self._all.values() if service.due is not None and service.due <= now]
        for service in due:
            try:
                os.close(self._start(service))
            except OSError as error:
                service.due = now + RESTART_DELAY_S[-1]
                self.log(f"{service.name} cannot be started now: {error}")
        return bool(due)

    def end(self) -> None:
        """Kill all, close their sockets, and wait for their end."""
        for service in self._all.values():
            children.kill(service.pid, signal.SIGKILL)
            service.listener.close()
        for service in self._all.values():
            if service.pid:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(service.pid, 0)

    def _plan_restart(self, service: _Service, status: int) -> None:
        lived = time.monotonic() - service.started
        service.restarts += 1
        attempt = 0 if lived > STABLE_AFTER_S else min(service.restarts - 1, len(RESTART_DELAY_S) - 1)
        service.pid, service.due = 0, time.monotonic() + RESTART_DELAY_S[attempt]
        code = os.waitstatus_to_exitcode(status)
        self.log(f"{service.name} ended ({code}) after {lived:.1f} s; restarting")

    def _start(self, service: _Service) -> int:
        """Fork the sidecar; return a pipe on which it writes one byte once it accepts connections."""
        read_end, write_end = os.pipe()
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            os.close(read_end)
            os.close(write_end)
            raise
        if pid == 0:
            os.close(read_end)
            self._become(service, write_end, parent)
        os.close(write_end)
        service.pid, service.started, service.due = pid, time.monotonic(), None
        return read_end

    def _become(self, service: _Service, ready: int, parent: int) -> None:
        code = 1
        try:
            children.prepare_sidecar(service.name, self.log_dir / f"{service.name}.log", parent)
            children.keep_only(service.listener.fileno(), ready)
            module = import_module(MODULES[service.name])
            asyncio.run(
                module.serve(service.spec, [service.listener], on_ready=lambda: _write_and_close(ready))
            )
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            sys.stderr.flush()
            os._exit(code)


def _await(service: _Service, pipe: int) -> None:
    with selectors.DefaultSelector() as selector, os.fdopen(pipe, "rb") as stream:
        selector.register(stream, selectors.EVENT_READ)
        if not selector.select(START_TIMEOUT_S) or not stream.read(1):
            raise ServiceError(service.name)


def _write_and_close(pipe: int) -> None:
    with contextlib.suppress(OSError):
        os.write(pipe, b"1")
    os.close(pipe)
