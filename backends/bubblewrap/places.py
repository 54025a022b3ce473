"""The directories and files of a bottle on the host while it is launched, and undoing them when that fails."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING

from backends import guest
from backends.bubblewrap.limits import remove_groups
from backends.programs import GUEST
from backends.workspace import remove_placeholders
from bottlemux.files import make_private_dir, write_atomic
from bottlemux.state.liveness import hold

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from backends.bubblewrap.plan import BubblewrapPlan
    from bottlemux.paths import BottlePaths


@contextlib.contextmanager
def held_lock(files: BottlePaths) -> Iterator[int]:
    """Hold the bottle's lock meanwhile; the supervisor, which gets a copy, goes on holding it."""
    lock = hold(files.lock)
    try:
        yield lock
    finally:
        os.close(lock)


@contextlib.contextmanager
def undoing_on_failure(plan: BubblewrapPlan) -> Iterator[None]:
    """Remove what a failed launch made outside the bottle's state directory, which its caller owns."""
    try:
        yield
    except BaseException:
        remove_placeholders(plan.spec.directory, plan.protection.placeholders)
        shutil.rmtree(plan.spec.files.runtime, ignore_errors=True)
        remove_groups(plan.group_directories)
        raise


def write_guest(plan: BubblewrapPlan, files: Mapping[str, str]) -> None:
    """Write ``files`` below the directory that the bottle sees, read-only, at ``/run/bottlemux``."""
    for name, text in files.items():
        write_atomic(plan.spec.files.guest / name, text, mode=0o644)


def make_program_places(plan: BubblewrapPlan) -> None:
    """Make the names below ``/run/bottlemux`` on which the program's files are mounted, and the links to them."""
    root = plan.spec.files.guest
    for mount in plan.program.mounts:
        place = root / mount.target.removeprefix(f"{GUEST}/")
        if os.path.isdir(mount.source):  # noqa: PTH112
            make_private_dir(place)
        else:
            write_atomic(place, b"")
    for name, target in plan.program.links:
        link = root / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def replace_skills(plan: BubblewrapPlan) -> None:
    """Copy the agent's skills as they are now, and link them into a new home directory."""
    files = plan.spec.files
    shutil.rmtree(files.guest / "skills")
    for name, directory in guest.skill_directories(plan.spec).items():
        shutil.copytree(directory, files.guest / "skills" / name, symlinks=False)
    make_private_dir(files.guest / "skills")
    link = guest.skills_link(plan.spec)
    if link is not None and not plan.spec.resumed:
        make_private_dir((files.home / link[0]).parent)
        (files.home / link[0]).symlink_to(link[1])
