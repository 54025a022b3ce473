"""The plan of a bubblewrap bottle: a frozen value, made without changing anything."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.bubblewrap import devices, limits, sandbox
from backends.bubblewrap.program import ProgramFiles, find_program
from backends.bubblewrap.sandbox import Mount, Sandbox
from backends.contract import BottlePlan
from backends.environment import bottle_environ
from backends.programs import HOME
from backends.workspace import Protection, mount_warnings, plan_protection

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from backends.contract import BottleSpec

DEFAULT_PROCESS_LIMIT = 4096
_NO_PROTECTION = Protection((), (), ())
_DISABLE_USERNS_SINCE = (0, 8, 0)
_TMPFS_SIZE_SINCE = (0, 7, 0)


@dataclass(frozen=True)
class BubblewrapPlan(BottlePlan):
    """What will be shown to the bottle and with which limits.

    ``protection`` is about the mounted workspace; in the other modes the bottle has a copy of its own.
    """

    bwrap: str
    sandbox: Sandbox
    program: ProgramFiles
    protection: Protection
    wanted: limits.Wanted
    groups: limits.Groups

    @property
    def group_name(self) -> str:
        """What the bottle's control groups are called."""
        return limits.group_prefix(self.spec.paths.state) + self.spec.identity

    @property
    def group_directories(self) -> tuple[str, ...]:
        """The control groups the bottle will be in."""
        return limits.group_directories(self.groups, self.group_name, self.wanted)

    def details(self) -> Sequence[tuple[str, str]]:
        """Return what is particular here: the limits, and what is protected in a mounted workspace."""
        rows = [("limits", _limits(self.wanted, self.groups)), *self.protection.rows()]
        if self.protection.pinned:
            rows.append(
                ("", "while it runs, git on the host cannot change .git/config either (git config, push -u)")
            )
        return rows


def resolve(spec: BottleSpec, bwrap: str, version: tuple[int, ...]) -> BubblewrapPlan:
    """Return the plan of ``spec`` on this machine."""
    resources = spec.resolved.bottle.resources
    wanted = limits.Wanted(resources.cpus, resources.memory, resources.pids or DEFAULT_PROCESS_LIMIT)
    groups = limits.find_groups()
    protection = plan_protection(spec.directory) if spec.workspace == "mount" else _NO_PROTECTION
    program = find_program(spec.resolved.agent.program[0])
    view = _sandbox(spec, protection, program, wanted, version)
    return BubblewrapPlan(
        spec=spec,
        backend_name="bubblewrap",
        warnings=tuple(_warnings(spec, wanted, groups)),
        bwrap=bwrap,
        sandbox=view,
        program=program,
        protection=protection,
        wanted=wanted,
        groups=groups,
    )


def _sandbox(
    spec: BottleSpec,
    protection: Protection,
    program: ProgramFiles,
    wanted: limits.Wanted,
    version: tuple[int, ...],
) -> Sandbox:
    system, links = sandbox.system_view()
    python, interpreter = sandbox.interpreter_mounts()
    files = spec.files
    mounts = [
        *system,
        *sandbox.guest_mounts(files.guest),
        *python,
        *program.mounts,
        Mount(str(files.home), HOME, writable=True),
        *_workspace_mounts(spec, protection),
    ]
    return Sandbox(
        hostname=re.sub(r"[^a-z0-9-]", "-", spec.identity)[:63],
        mounts=tuple(mounts),
        links=links,
        environ=bottle_environ(spec),
        interpreter=interpreter,
        process_limit=wanted.pids or 0,
        devices=devices.mounts(files),
        disable_userns=version >= _DISABLE_USERNS_SINCE,
        scratch_memory=_memory(wanted) if version >= _TMPFS_SIZE_SINCE else None,
    )


def _memory(wanted: limits.Wanted) -> int:
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(installed, wanted.memory or installed)


def _workspace_mounts(spec: BottleSpec, protection: Protection) -> list[Mount]:
    source: Path = spec.directory if spec.workspace == "mount" else spec.files.workspace
    mounts = [Mount(str(source), sandbox.WORKSPACE, writable=True)]
    mounts += [_inside(source, name, writable=True) for name in protection.pinned]
    mounts += [_inside(source, name, writable=False) for name in protection.paths]
    return mounts


def _inside(source: Path, name: str, *, writable: bool) -> Mount:
    return Mount(str(source / name), f"{sandbox.WORKSPACE}/{name}", writable)


def _limits(wanted: limits.Wanted, groups: limits.Groups) -> str:
    parts = [
        f"{wanted.cpus:g} CPUs" if wanted.cpus else "",
        f"{wanted.memory / 2**30:.3g} GiB memory" if wanted.memory else "",
        f"{wanted.pids} processes" if wanted.pids else "",
    ]
    missing = groups.missing(wanted)
    note = f" (not enforced by control groups here: {', '.join(missing)})" if missing else ""
    return ", ".join(part for part in parts if part) + note


def _warnings(spec: BottleSpec, wanted: limits.Wanted, groups: limits.Groups) -> list[str]:
    found: list[str] = []
    asked = limits.Wanted(wanted.cpus, wanted.memory, None)
    if missing := groups.missing(asked):
        found.append(f"this user cannot limit {' and '.join(missing)} here: see bottlemux doctor")
    if devices.are_needed() and not devices.can_be_made(spec.files.devices):
        found.append("the state directory takes no device nodes: the agent can change the mode of /dev/null")
    if spec.workspace == "mount":
        found += mount_warnings(spec.directory)
    for route in spec.resolved.bottle.egress.routes:
        if route.token_ref and route.token_ref.name not in spec.secrets:
            found.append(f"{route.token_ref.name} is not set: requests to {route.host} will be refused")
        found += route.warnings()
    return found
