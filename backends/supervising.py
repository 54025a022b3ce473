"""Handing a bottle to a fresh supervisor: descriptors and the sidecars' specs, over a private socket."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from backends import sidecar_specs
from backends.contract import Authority
from bottlemux.errors import BottlemuxError, UnavailableError
from bottlemux.files import make_private_dir, require_private
from bottlemux.preload import PRELOADED
from sidecars import ipc, zygotes
from sidecars.ca import make_ca
from sidecars.launch import ENTRY, SupervisorSpec, encode

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from pathlib import Path

    from backends.contract import BottlePlan, BottleSpec
    from sidecars.launch import BottleProcess

LAUNCH_TIMEOUT_S = 60.0


def connect(runtime: Path) -> socket.socket:
    """Return a connection to this user's zygote, started when there is none."""
    try:
        return zygotes.connect(require_private(make_private_dir(runtime)), PRELOADED)
    except OSError as error:
        raise UnavailableError(f"the sidecars' parent process does not start: {error}") from error


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


def start(connection: socket.socket, told: SupervisorSpec, lock: int, descriptors: Sequence[int]) -> None:
    """Start the supervisor, which gets copies of ``lock`` and ``descriptors``; return once all sidecars accept."""
    hint = log_hint(told.log_dir)
    try:
        message: dict[str, object] = {"entry": ENTRY, "spec": encode(told)}
        connection.settimeout(LAUNCH_TIMEOUT_S)
        ipc.send(connection, message, [lock, *descriptors])
        reply, _received = ipc.receive(connection)
    except (OSError, EOFError, ValueError) as error:
        raise BottlemuxError(f"the supervisor went away: {error}", hint=hint) from error
    if reply is None or "error" in reply:
        reason = reply["error"] if reply else "its supervisor went away"
        raise BottlemuxError(f"{told.slug} did not start: {reason}", hint=hint)


def in_memory(data: bytes) -> int:
    """Return a descriptor from which ``data`` can be read."""
    descriptor = os.memfd_create("bottlemux", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb", closefd=False) as stream:
        stream.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def log_hint(logs: Path) -> str:
    """Return where a failed launch is explained."""
    return f"the logs are in {logs}"
