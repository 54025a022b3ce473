"""Limits on a bottle's processes and memory, as far as this machine lets its user set them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from bottlemux.errors import BottlemuxError

CGROUP_ROOT = Path("/sys/fs/cgroup")
GROUP_PREFIX = "bottlemux-"
CPU_PERIOD_US = 100_000


@dataclass(frozen=True)
class Wanted:
    """Upper limits; ``None`` is no limit. ``memory`` is in bytes, ``cpus`` in cores."""

    cpus: float | None = None
    memory: int | None = None
    pids: int | None = None


def group_prefix(state: Path) -> str:
    """Return how the names of the groups begin whose bottles are recorded in ``state``: a machine has many such."""
    return f"{GROUP_PREFIX}{hashlib.sha256(str(state).encode()).hexdigest()[:6]}-"


@dataclass(frozen=True)
class Groups:
    """Where control groups can be made: directories per controller, the same one in a unified hierarchy."""

    unified: bool
    controllers: dict[str, Path]

    def missing(self, wanted: Wanted) -> list[str]:
        """Return the wanted limits that this machine cannot set."""
        needs = {"cpu": wanted.cpus, "memory": wanted.memory, "pids": wanted.pids}
        return [name for name, value in needs.items() if value is not None and name not in self.controllers]


def find_groups(root: Path = CGROUP_ROOT, membership: Path = Path("/proc/self/cgroup")) -> Groups:
    """Look for control group directories that this process may write to."""
    try:
        entries = [line.split(":", 2) for line in membership.read_text().splitlines() if line.count(":") > 1]
    except OSError:
        return Groups(unified=False, controllers={})
    if (root / "cgroup.controllers").exists():
        own = next((path for number, _, path in entries if number == "0"), "/")
        return Groups(unified=True, controllers=_unified(root, own))
    found: dict[str, Path] = {}
    for _number, names, path in entries:
        for name in names.split(","):
            directory = root / name / path.lstrip("/")
            if name in {"cpu", "memory", "pids"} and _writable(directory):
                found[name] = directory
    return Groups(unified=False, controllers=found)


def _unified(root: Path, own: str) -> dict[str, Path]:
    """A group with processes in it cannot have limited children, so look at the parent of ours."""
    parent = (root / own.lstrip("/")).parent if own != "/" else root
    if not _writable(parent):
        return {}
    enabled = (parent / "cgroup.subtree_control").read_text().split()
    return {name: parent for name in ("cpu", "memory", "pids") if name in enabled}


def _writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK) and os.access(directory / "cgroup.procs", os.W_OK)


def group_directories(groups: Groups, name: str, wanted: Wanted) -> tuple[str, ...]:
    """Return the directories that :func:`make_groups` makes."""
    return tuple(dict.fromkeys(str(directory) for directory, _files in _settings(groups, name, wanted)))


def make_groups(groups: Groups, name: str, wanted: Wanted) -> None:
    """Make the control groups of a bottle with their limits. Idempotent; its caller undoes a failure."""
    try:
        for directory, files in _settings(groups, name, wanted):
            directory.mkdir(exist_ok=True)
            for file, value in files.items():
                if (directory / file).exists():
                    (directory / file).write_text(value)
    except OSError as error:
        raise BottlemuxError(f"cannot set the limits of {name}: {error}") from error


def _settings(groups: Groups, name: str, wanted: Wanted) -> list[tuple[Path, dict[str, str]]]:
    settings = _unified_settings(wanted) if groups.unified else _legacy_settings(wanted)
    return [
        (groups.controllers[controller] / name, files)
        for controller, files in settings.items()
        if controller in groups.controllers
    ]


def remove_groups(directories: tuple[str, ...]) -> None:
    """Remove empty control groups; one that is gone or still in use is left."""
    for directory in directories:
        try:
            Path(directory).rmdir()
        except OSError:
            continue


def _unified_settings(wanted: Wanted) -> dict[str, dict[str, str]]:
    settings: dict[str, dict[str, str]] = {}
    if wanted.memory is not None:
        settings["memory"] = {"memory.max": str(wanted.memory), "memory.swap.max": "0"}
    if wanted.pids is not None:
        settings["pids"] = {"pids.max": str(wanted.pids)}
    if wanted.cpus is not None:
        settings["cpu"] = {"cpu.max": f"{int(wanted.cpus * CPU_PERIOD_US)} {CPU_PERIOD_US}"}
    return settings


def _legacy_settings(wanted: Wanted) -> dict[str, dict[str, str]]:
    settings: dict[str, dict[str, str]] = {}
    if wanted.memory is not None:
        settings["memory"] = {"memory.limit_in_bytes": str(wanted.memory)}
    if wanted.pids is not None:
        settings["pids"] = {"pids.max": str(wanted.pids)}
    if wanted.cpus is not None:
        quota = int(wanted.cpus * CPU_PERIOD_US)
        settings["cpu"] = {"cpu.cfs_period_us": str(CPU_PERIOD_US), "cpu.cfs_quota_us": str(quota)}
    return settings
