"""Hands a plan to a supervisor and its keeper, and waits until the machine runs."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from typing import TYPE_CHECKING

from backends import sidecar_specs, supervising
from backends.programs import GUEST
from backends.smolmachines import keeper, names, places, smolfile, tool
from backends.smolmachines.plan import KEEPER, memory_mib, socket_path
from bottlemux.errors import BottlemuxError
from sidecars.launch import BottleProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.contract import Authority
    from backends.smolmachines.plan import SmolmachinesPlan

BOOT_TIMEOUT_S = 420.0
_PATIENCE_S = 1.0
_KEEPER = ("-I", "-m", "backends.smolmachines.keeper")


def confined(argv: Sequence[str]) -> list[str]:
    """Return the command that the machine's root runs to have ``argv`` run as the agent's user."""
    return [*smolfile.PYTHON, f"{GUEST}/lib/confine.py", *argv]


def launch(parent: supervising.Parent, plan: SmolmachinesPlan, authority: Authority, lock: int) -> None:
    """Start the sidecars and the machine of ``plan``; return when both are ready."""
    sidecar_specs.write_routes(plan.spec)
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    hint = supervising.log_hint(plan.spec)
    orders = supervising.in_memory(_orders(plan).encode())
    try:
        told = supervising.supervisor_spec(plan, authority, _process())
        supervising.start(parent, told, lock, [orders, write_end], hint=hint)
    except BaseException:
        os.close(read_end)
        raise
    finally:
        os.close(orders)
        os.close(write_end)
    _await_boot(plan, read_end, hint)


def _process() -> BottleProcess:
    return BottleProcess(
        argv=(sys.executable, *_KEEPER),
        environ=tool.environ(),
        descriptors=(keeper.ORDERS_FD, keeper.PROGRESS_FD),
        names_machine=True,
    )


def _orders(plan: SmolmachinesPlan) -> keeper.Orders:
    return keeper.Orders(
        smolvm=plan.smolvm,
        name=plan.machine,
        resumed=plan.spec.resumed,
        smolfile=str(places.smolfile_path(plan)),
        labels=names.labels(plan.spec.paths, plan.spec.identity),
        sockets=plan.sockets,
        listen={name: str(socket_path(plan.spec, name)) for name in plan.services},
        report=str(socket_path(plan.spec, KEEPER)),
        command=smolfile.workload(),
        cpus=plan.cpus,
        memory_mib=memory_mib(plan),
    )


def _await_boot(plan: SmolmachinesPlan, progress: int, hint: str) -> None:
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    with os.fdopen(progress, "rb") as stream:
        if not select.select([stream], [], [], _PATIENCE_S)[0]:
            sys.stderr.write(f"booting the machine {plan.machine}; a first boot unpacks smolvm's files\n")
        if not select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise BottlemuxError(f"{plan.spec.identity} did not start: its machine does not boot", hint=hint)
        text = stream.read()
    if not text:
        raise BottlemuxError(
            f"{plan.spec.identity} did not start: what boots its machine was ended", hint=hint
        )
    told = json.loads(text)
    if "error" in told:
        raise BottlemuxError(
            f"{plan.spec.identity} did not start: {told['error']}", hint=told["hint"] or hint
        )
