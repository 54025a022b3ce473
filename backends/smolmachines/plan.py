"""The plan of a microVM bottle: a frozen value, made without changing anything."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.contract import BottlePlan
from backends.environment import bottle_environ
from backends.programs import GUEST, HOME
from backends.smolmachines import names
from backends.workspace import Protection, mount_warnings, plan_protection
from bottlemux.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from backends.contract import BottleSpec

WORKSPACE = "/workspace"
SOCKETS = "/run/bottlemux-sockets"
KEEPER = "keeper"
"""What the keeper's socket is called, on which the machine tells that it is ready."""
PORTS = {"egress": 3128, "supervise": 9100, "git-gate": 9418}
DEFAULT_CPUS = 2
DEFAULT_MEMORY = 4 << 30
DEFAULT_PROCESS_LIMIT = 4096
LONGEST_SOCKET = 107
"""Bytes in the name of a Unix socket."""
_MEBIBYTE = 1 << 20
_NO_PROTECTION = Protection((), (), ())


@dataclass(frozen=True)
class SmolmachinesPlan(BottlePlan):
    """What the machine will be made of.

    ``user`` is the numeric user and group of the operator: smolvm's file sharing shows them as they are.
    ``image`` is a directory with a root file system, or an archive as ``docker save`` writes it; empty where the
    launch has to make one first.
    """

    smolvm: str
    user: tuple[int, int]
    environ: Mapping[str, str]
    protection: Protection
    image: str
    cpus: int
    memory: int
    pids: int

    @property
    def machine(self) -> str:
        """What the machine is called."""
        return names.machine_name(self.spec.paths, self.spec.identity)

    @property
    def workspace(self) -> Path:
        """The directory on this machine that the bottle sees as ``/workspace``."""
        return self.spec.directory if self.spec.workspace == "mount" else self.spec.files.workspace

    @property
    def volumes(self) -> tuple[str, ...]:
        """What is shared with the machine, as smolvm writes it."""
        files = self.spec.files
        return (f"{files.guest}:{GUEST}:ro", f"{files.home}:{HOME}", f"{self.workspace}:{WORKSPACE}")

    @property
    def services(self) -> tuple[str, ...]:
        """The sidecars this bottle has."""
        bottle = self.spec.resolved.bottle
        wanted = {"egress": True, "supervise": bottle.supervise, "git-gate": bool(bottle.git)}
        return tuple(name for name, present in wanted.items() if present)

    @property
    def sockets(self) -> dict[str, str]:
        """The sockets of the sidecars and of the keeper: on this machine, and in the bottle's."""
        names = (*self.services, KEEPER)
        return {str(socket_path(self.spec, name)): f"{SOCKETS}/{name}.sock" for name in names}

    def details(self) -> Sequence[tuple[str, str]]:
        """Return what is particular here: machine, image, limits, and what is protected in a mounted workspace."""
        limits = f"{self.cpus} CPUs, {self.memory / 2**30:.3g} GiB memory, {self.pids} processes"
        rows = [
            ("machine", self.machine),
            ("image", self.image or "agent, made by this start"),
            ("limits", limits),
        ]
        return [*rows, *self.protection.rows()]


def resolve(spec: BottleSpec, smolvm: str, image: str) -> SmolmachinesPlan:
    """Return the plan of ``spec`` on this machine."""
    resources = spec.resolved.bottle.resources
    plan = SmolmachinesPlan(
        spec=spec,
        backend_name="smolmachines",
        warnings=tuple(_warnings(spec)),
        smolvm=smolvm,
        user=(os.getuid(), os.getgid()),
        environ=bottle_environ(spec),
        protection=plan_protection(spec.directory) if spec.workspace == "mount" else _NO_PROTECTION,
        image=image,
        cpus=max(1, round(resources.cpus)) if resources.cpus else DEFAULT_CPUS,
        memory=resources.memory or DEFAULT_MEMORY,
        pids=resources.pids or DEFAULT_PROCESS_LIMIT,
    )
    _check_sharing(plan)
    return plan


def socket_path(spec: BottleSpec, service: str) -> Path:
    """Return where ``service``, a sidecar or the keeper, listens on this machine."""
    return spec.files.runtime / f"{service}.sock"


def _check_sharing(plan: SmolmachinesPlan) -> None:
    """Raise for paths that smolvm cannot take: it parts two of them by a colon."""
    for path in (plan.workspace, plan.spec.files.state):
        if ":" in str(path):
            raise UsageError(f"{str(path)!r} has a colon in it, which smolvm cannot share with a machine")
    for socket in plan.sockets:
        if len(os.fsencode(socket)) > LONGEST_SOCKET:
            raise UsageError(
                f"{socket!r} is too long for a socket",
                hint="set XDG_RUNTIME_DIR to a directory with a short name",
            )


def _warnings(spec: BottleSpec) -> list[str]:
    found: list[str] = []
    if spec.workspace == "mount":
        found += mount_warnings(spec.directory)
        found.append(
            "read-only files are kept so by the machine's own kernel: --workspace clone needs no such trust"
        )
    for route in spec.resolved.bottle.egress.routes:
        if route.token_ref and route.token_ref.name not in spec.secrets:
            found.append(f"{route.token_ref.name} is not set: requests to {route.host} will be refused")
        found += route.warnings()
    return found


def memory_mib(plan: SmolmachinesPlan) -> int:
    """Return the machine's memory in MiB, the unit of smolvm."""
    return max(256, plan.memory // _MEBIBYTE)
