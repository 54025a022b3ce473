"""What killed processes leave behind, found and removed."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.bubblewrap import standins
from backends.bubblewrap.limits import find_groups, group_prefix
from bottlemux.identity import is_slug
from bottlemux.state.liveness import is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bottlemux.paths import Paths


@dataclass(frozen=True)
class BubblewrapCleanup:
    """Runtime directories, control groups and stand-ins in projects, of bottles that do not live."""

    paths: Paths
    runtime_directories: tuple[Path, ...] = ()
    groups: tuple[Path, ...] = ()
    standins: tuple[str, ...] = ()

    def lines(self) -> Sequence[str]:
        """Return a line for each thing found."""
        runtime = [f"runtime directory {path}" for path in self.runtime_directories]
        groups = [f"control group {path}" for path in self.groups]
        return runtime + groups + [f"stand-ins that {slug} left in its project" for slug in self.standins]


def find_leftovers(paths: Paths) -> BubblewrapCleanup:
    """Find what belongs to no live bottle. A bottle being launched holds its lock and so lives."""
    runtime = tuple(path for path in _directories(paths.runtime) if _is_dead(paths, path.name))
    roots = set(find_groups().controllers.values())
    prefix = group_prefix(paths.state)
    groups = tuple(
        path
        for root in sorted(roots)
        for path in _directories(root)
        if path.name.startswith(prefix)
        and not (path / "cgroup.procs").read_text()
        and _is_dead(paths, path.name.removeprefix(prefix))
    )
    left = tuple(slug for slug in standins.recorded(paths) if not is_alive(paths.bottle(slug)))
    return BubblewrapCleanup(paths, runtime, groups, left)


def _directories(parent: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError):
        yield from (path for path in sorted(parent.iterdir()) if path.is_dir())


def _is_dead(paths: Paths, name: str) -> bool:
    return is_slug(name) and not is_alive(paths.bottle(name))


def remove_leftovers(plan: BubblewrapCleanup) -> None:
    """Remove what ``plan`` lists; what is gone already is no error."""
    for directory in plan.runtime_directories:
        shutil.rmtree(directory, ignore_errors=True)
    for slug in plan.standins:
        standins.remove(plan.paths, slug)
    for group in plan.groups:
        with contextlib.suppress(OSError):
            group.rmdir()
