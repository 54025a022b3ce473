"""The plan of a Docker bottle: a frozen value, made without changing anything."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backends.contract import BottlePlan
from backends.docker import runtime, walls
from backends.docker.endpoint import described, is_elsewhere
from backends.environment import bottle_environ
from backends.programs import HOME
from backends.workspace import Protection, plan_protection
from bottlemux.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from backends.contract import BottleSpec

DEFAULT_PROCESS_LIMIT = 4096
AGENT_ID = 1000
"""User and group of the agent where the operator is root."""
WORKSPACE = "/workspace"
_NO_DEFAULT_ROUTE_SINCE = 25
_NO_PROTECTION = Protection((), (), ())
_LOOPBACK = ("127.", "localhost", "[::1]")


@dataclass(frozen=True)
class DockerPlan(BottlePlan):
    """What the bottle's containers will be given.

    ``user`` is the numeric user and group of the agent: the operator's, so that files of the workspace stay the
    operator's. A root operator's agent is another user, and ``is_walled`` says that the operator enters the container
    to give it the files, see :mod:`backends.docker.walls`. Elsewhere the files are the bottle's alone, and the sidecars
    are of the same user, here ``operator``. ``installed_memory`` is the engine's.
    ``protection`` is about the mounted workspace; in the other modes the bottle has a copy of its own.
    """

    endpoint: str
    installed_memory: int
    user: tuple[int, int]
    operator: tuple[int, int]
    is_walled: bool
    environ: Mapping[str, str]
    protection: Protection
    cpus: float | None
    memory: int | None
    pids: int
    runtime: str = ""
    """The engine's runtime for the agent's container; empty is its own choice."""
    routing: str = ""
    """What of the engine's routes stays in the bottle, for a person."""
    chosen_by: str = ""
    """The figures by which the engine was chosen, where it was."""

    @property
    def image(self) -> str | None:
        """What the manifest says of the image; ``None`` is ours."""
        return self.spec.resolved.bottle.image

    @property
    def is_elsewhere(self) -> bool:
        """Whether the engine sees no file of this machine."""
        return is_elsewhere(self.endpoint)

    @property
    def workspace(self) -> Path:
        """The directory on this machine that the bottle sees as ``/workspace``."""
        return self.spec.directory if self.spec.workspace == "mount" else self.spec.files.workspace

    @property
    def trees(self) -> tuple[walls.Tree, ...]:
        """The directories that a root operator puts into the bottle, in place of mounts by the engine."""
        protection = self.protection
        work = walls.Tree(self.workspace, WORKSPACE, protection.paths, protection.pinned)
        return (walls.Tree(self.spec.files.home, HOME), work) if self.is_walled else ()

    @property
    def left_to_engine(self) -> str:
        """What this operator cannot take away from an engine's container; empty where all walls are built."""
        if self.is_walled or self.runtime:
            return ""
        return f"mounts without nosuid (but nothing gains privileges){self.routing}"

    def details(self) -> Sequence[tuple[str, str]]:
        """Return what is particular here: engine, image, limits, and what is protected in a mounted workspace."""
        rows = [
            ("engine", described(self.endpoint) + (f", with {self.chosen_by}" if self.chosen_by else "")),
            ("image", self.image or "agent"),
            ("limits", self._limits()),
        ]
        if self.runtime:
            rows.append(("runtime", f"{self.runtime} (gVisor): a kernel of the bottle's own"))
        if self.left_to_engine:
            rows.append(("not here", self.left_to_engine))
        return [*rows, *self.protection.rows()]

    def _limits(self) -> str:
        parts = [
            f"{self.cpus:g} CPUs" if self.cpus else "",
            f"{self.memory / 2**30:.3g} GiB memory" if self.memory else "",
            f"{self.pids} processes",
        ]
        return ", ".join(part for part in parts if part)


def check_root(spec: BottleSpec, endpoint: str) -> None:
    """Raise where a root operator cannot give the bottle's user, who is not root, the files that it needs."""
    if is_elsewhere(endpoint):
        return
    if not walls.can_be_built():
        raise UnavailableError(
            "this root may not administer the system (CAP_SYS_ADMIN), so a bottle's user would have no files",
            hint="run bottlemux as an ordinary user in the docker group",
        )
    for directory in {spec.paths.state, spec.directory if spec.workspace == "mount" else spec.paths.state}:
        walls.check(directory)


def resolve(
    spec: BottleSpec,
    backend_name: str,
    endpoint: str,
    facts: Mapping[str, Any],
    *,
    needs_gvisor: bool = False,
) -> DockerPlan:
    """Return the plan of ``spec`` for the engine at ``endpoint``, which says ``facts`` of itself."""
    resources = spec.resolved.bottle.resources
    return DockerPlan(
        spec=spec,
        backend_name=backend_name,
        warnings=tuple(_warnings(spec)),
        endpoint=endpoint,
        installed_memory=int(facts["MemTotal"]),
        user=(AGENT_ID, AGENT_ID)
        if os.getuid() == 0 or is_elsewhere(endpoint)
        else (os.getuid(), os.getgid()),
        operator=(AGENT_ID, AGENT_ID) if is_elsewhere(endpoint) else (os.getuid(), os.getgid()),
        is_walled=walls.are_built(endpoint),
        runtime=runtime.choose(facts, endpoint, needs_gvisor=needs_gvisor),
        routing=_routing(facts),
        environ=bottle_environ(spec),
        protection=plan_protection(spec.directory) if spec.workspace == "mount" else _NO_PROTECTION,
        cpus=resources.cpus,
        memory=resources.memory,
        pids=resources.pids or DEFAULT_PROCESS_LIMIT,
    )


def _routing(facts: Mapping[str, Any]) -> str:
    major = str(facts.get("ServerVersion", "")).partition(".")[0]
    is_old = major.isdigit() and int(major) < _NO_DEFAULT_ROUTE_SINCE
    return ", and a default route that leads nowhere (engine before 25)" if is_old else ""


def _warnings(spec: BottleSpec) -> list[str]:
    found: list[str] = []
    for route in spec.resolved.bottle.egress.routes:
        if route.token_ref and route.token_ref.name not in spec.secrets:
            found.append(f"{route.token_ref.name} is not set: requests to {route.host} will be refused")
        if route.upstream and route.upstream.startswith(_LOOPBACK):
            found.append(
                f"{route.upstream} is not this machine, but the sidecars' container: {route.host} will fail"
            )
        found += route.warnings()
    return found
