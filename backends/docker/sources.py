"""Where the engine has what a bottle's containers mount: directories of this machine, or of a volume elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backends.docker import names
from backends.docker.containers import system_authorities

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from backends.docker.plan import DockerPlan


@dataclass(frozen=True)
class Sources:
    """Paths as the engine sees them. ``named`` are those of the operator's files that are elsewhere there.

    ``owner`` labels the bottle's things. Below a directory of its own the engine chooses the ``propagation`` of mounts.
    Without ``runtime`` the sidecars report in memory of their own.
    """

    guest: Path
    home: Path
    workspace: Path
    state: Path
    runtime: Path | None
    authorities: Path
    owner: str
    propagation: str | None = "rprivate"
    named: Mapping[Path, Path] = field(default_factory=dict["Path", "Path"])

    def of(self, path: Path) -> Path:
        """Return where the operator's file ``path`` is."""
        return self.named.get(path, path)


def local(plan: DockerPlan) -> Sources:
    """Return the places for an engine of this machine: the bottle's own directories and the operator's files."""
    files = plan.spec.files
    return Sources(
        guest=files.guest,
        home=files.home,
        workspace=plan.workspace,
        state=files.state,
        runtime=files.runtime,
        authorities=system_authorities(),
        owner=names.owner(plan.spec.paths, elsewhere=False),
    )
