"""Handing a bottle to a fresh supervisor: descriptors and the sidecars' specs, over a private socket."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from backends import sidecar_specs
from backends.contract import Authority
from bottlemux.errors import BottlemuxError, UnavailableError
from bottlemux.files import make_private_dir, require_private
from bottlemux.preload import PRELOADED
from sidecars import ipc, zygotes
from sidecars.ca import make_ca
from sidecars.launch import ENTRY, SupervisorSpec, encode
from sidecars.logs import Log

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from pathlib import Path

    from backends.contract import BottlePlan, BottleSpec
    from sidecars.launch import BottleProcess

LAUNCH_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Parent:
    """A connection to this user's zygote, and the log in which that, or what it forks, may say why it failed."""

    connection: socket.socket
    log: Log

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


def connect(runtime: Path) -> Parent:
    """Return a connection to this user's zygote, started when there is none."""
    log = Log.from_now(zygotes.log_file(require_private(make_private_dir(runtime))))
    try:
        return Parent(zygotes.connect(runtime, PRELOADED), log)
    except OSError as error:
        raise UnavailableError(
            f"the sidecars' parent process does not start: {log.cause() or error}",
            hint=f"the whole log is {log.path}",
        ) from error


def make_authority(spec: BottleSpec) -> Authority:
    """Return a new certificate authority for this run of the bottle."""
    key, certificate = make_ca(f"bottlemux {spec.identity}")
    return Authority(certificate=certificate, key=key)


def supervisor_spec(plan: BottlePlan, authority: Authority, process: BottleProcess) -> SupervisorSpec:
    """Return what the supervisor is told: the bottle is its child ``process``."""
    files = plan.spec.files
    return SupervisorSpec(
        slug=plan.spec.identity,
        backend=plan.backend_name,
        status_file=files.status,
        log_dir=files.logs,
        bottle=process,
        egress=sidecar_specs.egress(plan.spec, authority),
        git_gate=sidecar_specs.git_gate(plan.spec),
        supervise=sidecar_specs.supervise(plan.spec),
    )


def start(parent: Parent, told: SupervisorSpec, lock: int, given: Sequence[int], *, hint: str) -> None:
    """Start the supervisor, which gets copies of ``lock`` and ``given``; return once all sidecars accept.

    ``hint`` is :func:`log_hint`'s.
    """
    own_log = Log.from_now(told.log_dir / "supervisor.log")
    message: dict[str, object] = {"entry": ENTRY, "spec": encode(told)}
    try:
        reply = _ask(parent.connection, message, [lock, *given])
    except (OSError, EOFError, ValueError) as error:
        said = own_log.cause()
        if not said and (said := parent.log.cause()):
            hint = f"the log of the sidecars' parent process is {parent.log.path}"
        reason = told.without_secrets(said) or f"its supervisor went away: {error}"
        raise BottlemuxError(f"{told.slug} did not start: {reason}", hint=hint) from error
    if "error" in reply:
        raise BottlemuxError(f"{told.slug} did not start: {reply['error']}", hint=hint)


def _ask(connection: socket.socket, message: dict[str, object], descriptors: Sequence[int]) -> ipc.Message:
    connection.settimeout(LAUNCH_TIMEOUT_S)
    ipc.send(connection, message, descriptors)
    reply, _received = ipc.receive(connection)
    if reply is None:
        raise EOFError("it said nothing")
    return reply


def in_memory(data: bytes) -> int:
    """Return a descriptor from which ``data`` can be read."""
    descriptor = os.memfd_create("bottlemux", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb", closefd=False) as stream:
        stream.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def log_hint(spec: BottleSpec) -> str:
    """Return where to look after a failed launch: the logs of a first one go with all else that it made."""
    return f"the logs are in {spec.files.logs}" if spec.resumed else "bottlemux doctor checks this machine"
