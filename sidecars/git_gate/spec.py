"""What one bottle's git-gate is started with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidecars.git_gate.remotes import GitRemote, check_unique_names

if TYPE_CHECKING:
    from pathlib import Path

_MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What the agent may cost the host. What exceeds a limit is refused, never let through unchecked."""

    pack_bytes: int = 256 * _MIB
    object_bytes: int = 64 * _MIB
    scan_bytes: int = 2048 * _MIB
    objects: int = 200_000
    paths: int = 400_000
    refs: int = 100
    connections: int = 32
    git_processes: int = 6
    request_s: float = 20.0
    body_s: float = 900.0
    stalled_s: float = 60.0
    refresh_s: float = 300.0
    scan_s: float = 300.0
    push_s: float = 300.0
    connect_s: int = 15


@dataclass(frozen=True)
class GitGateSpec:
    """A bottle's gate: its remotes, a private directory for mirrors (made 0700) and its audit file.

    ``needles`` are secret values that must not leave in a push; they stay in memory. ``proposals_dir`` is where the
    branches are found that the operator granted besides. ``gitleaks`` is a program that scans pushes besides.
    """

    slug: str
    remotes: tuple[GitRemote, ...]
    cache_dir: Path
    audit_file: Path
    needles: tuple[str, ...] = field(default=(), repr=False)
    limits: Limits = Limits()
    proposals_dir: Path | None = None
    gitleaks: Path | None = None

    def __post_init__(self) -> None:
        check_unique_names(self.remotes)
