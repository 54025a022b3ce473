"""What one bottle's supervise is started with. Holds no secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PORT = 9100
HOST = "supervise"


@dataclass(frozen=True)
class RemoteBranches:
    """One git remote of the bottle as the agent may know it: its name and the branches it may push."""

    name: str
    branches: tuple[str, ...]


@dataclass(frozen=True)
class SuperviseSpec:
    """One bottle's server. Whatever arrives on its listeners was asked by the agent of ``slug``.

    ``proposals_dir`` exists and is the operator's; ``routes_file`` is the egress policy in force; ``can_rebuild``
    says whether more packages can be asked for. ``activity_file`` is where to keep what the program reports.
    """

    slug: str
    proposals_dir: Path
    routes_file: Path
    audit_file: Path
    activity_file: Path
    git_remotes: tuple[RemoteBranches, ...] = ()
    can_rebuild: bool = False
