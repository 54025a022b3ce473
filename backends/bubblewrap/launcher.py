"""Hands a plan to a fresh supervisor: descriptors, command and the sidecars' specs, over a private socket."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from backends import sidecar_specs
from backends.bubblewrap import limits, sandbox, seccomp
from backends.contract import Authority
from bottlemux.errors import BottlemuxError, UnavailableError
from bottlemux.files import make_private_dir, require_private
from bottlemux.preload import PRELOADED
from sidecars import ipc, zygotes
from sidecars.ca import make_ca
from sidecars.launch import ENTRY, BottleProcess, SupervisorSpec, encode

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from backends.bubblewrap.plan import BubblewrapPlan

LAUNCH_TIMEOUT_S = 60.0
_CONTROL_FD = 10


def connect(runtime: Path) -> socket.socket:
    """Return a connection to this user's zygote, started when there is none."""
    try:
        return zygotes.connect(require_private(make_private_dir(runtime)), PRELOADED)
    except OSError as error:
        raise UnavailableError(f"the sidecars' parent process does not start: {error}") from error


def make_authority(plan: BubblewrapPlan) -> Authority:
    """Return a new certificate authority for this run of the bottle."""
    key, certificate = make_ca(f"bottlemux {plan.spec.identity}")
    return Authority(certificate=certificate, key=key)


def launch(
    connection: socket.socket, plan: BubblewrapPlan, authority: Authority, lock: int, *, cache: Path
) -> None:
    """Start the bottle of ``plan`` and return once its sidecars accept connections."""
    sidecar_specs.write_routes(plan.spec)
    limits.make_groups(plan.groups, plan.group_name, plan.wanted)
    options = os.fsencode("\0".join(sandbox.arguments(plan.sandbox)))
    control = ipc.listen(str(plan.spec.files.control))
    descriptors = [
        control.fileno(),
        *(_in_memory(data) for data in (options, *seccomp.cached_filters(cache))),
    ]
    try:
        message: dict[str, object] = {"entry": ENTRY, "spec": encode(_supervisor_spec(plan, authority))}
        connection.settimeout(LAUNCH_TIMEOUT_S)
        ipc.send(connection, message, [lock, *descriptors])
        reply, _received = ipc.receive(connection)
    except (OSError, EOFError, ValueError) as error:
        raise BottlemuxError(f"the supervisor went away: {error}", hint=_log_hint(plan)) from error
    finally:
        control.close()
        for descriptor in descriptors[1:]:
            os.close(descriptor)
    if reply is None or "error" in reply:
        reason = reply["error"] if reply else "its supervisor went away"
        raise BottlemuxError(f"{plan.spec.identity} did not start: {reason}", hint=_log_hint(plan))


def _supervisor_spec(plan: BubblewrapPlan, authority: Authority) -> SupervisorSpec:
    files = plan.spec.files
    process = BottleProcess(
        argv=(plan.bwrap, "--args", str(sandbox.ARGUMENTS_FD), "--", *sandbox.init_command(plan.sandbox)),
        environ=plan.sandbox.environ,
        descriptors=(_CONTROL_FD, sandbox.ARGUMENTS_FD, *sandbox.FILTER_FDS),
        cgroups=plan.group_directories,
    )
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


def _in_memory(data: bytes) -> int:
    """Return a descriptor from which ``data`` can be read."""
    descriptor = os.memfd_create("bottlemux", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb", closefd=False) as stream:
        stream.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _log_hint(plan: BubblewrapPlan) -> str:
    return f"the logs are in {plan.spec.files.logs}"
