"""Turns a plan into the bottle's process and hands it to a supervisor."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from backends import sidecar_specs, supervising
from backends.bubblewrap import limits, sandbox, seccomp
from sidecars import ipc
from sidecars.launch import BottleProcess

if TYPE_CHECKING:
    from pathlib import Path

    from backends.bubblewrap.plan import BubblewrapPlan
    from backends.contract import Authority

_CONTROL_FD = 10


def launch(
    parent: supervising.Parent, plan: BubblewrapPlan, authority: Authority, lock: int, *, cache: Path
) -> None:
    """Start the bottle of ``plan`` and return once its sidecars accept connections."""
    sidecar_specs.write_routes(plan.spec)
    limits.make_groups(plan.groups, plan.group_name, plan.wanted)
    options = os.fsencode("\0".join(sandbox.arguments(plan.sandbox)))
    control = ipc.listen(str(plan.spec.files.control))
    given = [supervising.in_memory(data) for data in (options, *seccomp.cached_filters(cache))]
    try:
        told = supervising.supervisor_spec(plan, authority, _process(plan))
        supervising.start(
            parent, told, lock, [control.fileno(), *given], hint=supervising.log_hint(plan.spec)
        )
    finally:
        control.close()
        for descriptor in given:
            os.close(descriptor)


def _process(plan: BubblewrapPlan) -> BottleProcess:
    return BottleProcess(
        argv=(plan.bwrap, "--args", str(sandbox.ARGUMENTS_FD), "--", *sandbox.init_command(plan.sandbox)),
        environ=plan.sandbox.environ,
        descriptors=(_CONTROL_FD, sandbox.ARGUMENTS_FD, *sandbox.FILTER_FDS),
        cgroups=plan.group_directories,
    )
