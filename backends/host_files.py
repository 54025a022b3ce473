"""A bottle's directories and files on this machine, the same for every backend that shows them to its bottles."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from backends import guest, workspace
from bottlemux.files import make_private_dir, write_atomic
from bottlemux.state.liveness import hold
from bottlemux.state.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from backends.contract import BottleSpec
    from bottlemux.paths import BottlePaths

_SHIPPED = Path(__file__).with_name("data")


@contextlib.contextmanager
def held_lock(files: BottlePaths) -> Generator[int]:
    """Hold the bottle's lock meanwhile; the supervisor, which gets a copy, goes on holding it."""
    lock = hold(files.lock)
    try:
        yield lock
    finally:
        os.close(lock)


def make_directories(spec: BottleSpec, in_guest: Iterable[str]) -> None:
    """Make the bottle's directories, those named ``in_guest`` below the one that it sees as ``/run/bottlemux``."""
    if not spec.resumed:
        remove_tree(spec.files.home)  # what a start that was killed had made of it
    for directory in (spec.files.runtime, spec.files.logs, spec.files.guest, spec.files.home):
        make_private_dir(directory)
    for name in in_guest:
        make_private_dir(spec.files.guest / name)


def make_workspace(spec: BottleSpec) -> None:
    """Make the working copy of a bottle in ``clone`` or ``copy`` mode."""
    from backends.bubblewrap import standins

    target = spec.files.workspace
    remove_tree(target)  # the record's directory comes with an empty one; a start that was killed left a part
    if spec.workspace == "clone":
        workspace.make_clone(spec.directory, target, f"bottlemux/{spec.identity}")
    else:
        workspace.make_copy(spec.directory, target, skip=standins.names_in(spec.paths, spec.directory))


def write_guest(spec: BottleSpec, files: Mapping[str, str]) -> None:
    """Write ``files`` below the directory that the bottle sees, read-only, at ``/run/bottlemux``."""
    for name, text in files.items():
        write_atomic(spec.files.guest / name, text, mode=0o644, durable=False)


def write_home(spec: BottleSpec, files: Mapping[str, str | bytes]) -> None:
    """Write ``files`` into a new home directory; one that an agent had is its own."""
    if not spec.makes_home:
        return
    for name, text in files.items():
        make_private_dir((spec.files.home / name).parent)
        write_atomic(spec.files.home / name, text, durable=False)


def provision_skills(spec: BottleSpec) -> None:
    """Copy the agent's skills as they are now, and link them into a new home directory."""
    files = spec.files
    shutil.rmtree(files.guest / "skills")
    for name, directory in guest.skill_directories(spec).items():
        shutil.copytree(directory, files.guest / "skills" / name, symlinks=False)
    make_private_dir(files.guest / "skills")
    link = guest.skills_link(spec)
    if link is not None and spec.makes_home:
        make_private_dir((files.home / link[0]).parent)
        (files.home / link[0]).symlink_to(link[1])


def place_shipped_program(spec: BottleSpec) -> None:
    """Bring in a program that comes with bottlemux; where a bottle has an image, any other one is the image's."""
    name = spec.resolved.agent.program[0]
    shipped = _SHIPPED / name
    if "/" not in name and shipped.is_file():
        write_atomic(spec.files.guest / "bin" / name, shipped.read_bytes(), mode=0o755, durable=False)
