"""The directories and files of a bottle on the host while it is launched, and undoing them when that fails."""

from __future__ import annotations

import contextlib
import functools
import marshal
import os
import shutil
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import TYPE_CHECKING

from backends import guest, workspace
from backends.bubblewrap import devices, sandbox, standins
from backends.bubblewrap.limits import remove_groups
from backends.programs import GUEST
from bottlemux.files import make_private_dir, write_atomic
from bottlemux.state.liveness import hold
from bottlemux.state.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from backends.bubblewrap.plan import BubblewrapPlan
    from backends.contract import BottleSpec
    from bottlemux.paths import BottlePaths

_OWN_CODE = (Path(__file__).with_name("init.py"), Path(__file__).parents[2] / "sidecars" / "wire.py")


@contextlib.contextmanager
def held_lock(files: BottlePaths) -> Generator[int]:
    """Hold the bottle's lock meanwhile; the supervisor, which gets a copy, goes on holding it."""
    lock = hold(files.lock)
    try:
        yield lock
    finally:
        os.close(lock)


@contextlib.contextmanager
def undoing_on_failure(plan: BubblewrapPlan) -> Generator[None]:
    """Remove what a failed launch made outside the bottle's state directory, which its caller owns."""
    try:
        yield
    except BaseException:
        standins.remove(plan.spec.paths, plan.spec.identity)
        shutil.rmtree(plan.spec.files.runtime, ignore_errors=True)
        remove_groups(plan.group_directories)
        raise


def make_directories(plan: BubblewrapPlan) -> None:
    """Make every directory that the plan mounts, the working copy included."""
    spec = plan.spec
    if not spec.resumed:
        remove_tree(spec.files.home)  # what a start that was killed had made of it
    for directory in (spec.files.runtime, spec.files.logs, spec.files.guest, spec.files.home):
        make_private_dir(directory)
    for name in ("bin", "etc", "lib", "opt", "python", "skills"):
        make_private_dir(spec.files.guest / name)
    if plan.sandbox.devices:
        devices.make(spec.files)
    if spec.workspace == "mount":
        standins.make(plan.spec, plan.protection)
    elif not spec.resumed:
        _make_workspace(spec)


def _make_workspace(spec: BottleSpec) -> None:
    target = spec.files.workspace
    remove_tree(target)  # the record's directory comes with an empty one; a start that was killed left a part
    if spec.workspace == "clone":
        workspace.make_clone(spec.directory, target, f"bottlemux/{spec.identity}")
    else:
        workspace.make_copy(spec.directory, target, skip=standins.names_in(spec.paths, spec.directory))


def write_guest(plan: BubblewrapPlan, files: Mapping[str, str]) -> None:
    """Write ``files`` below the directory that the bottle sees, read-only, at ``/run/bottlemux``."""
    for name, text in files.items():
        write_atomic(plan.spec.files.guest / name, text, mode=0o644, durable=False)


def provision_prompt(plan: BubblewrapPlan) -> None:
    """Place the start script and what it reads, process 1, and a new home's files."""
    write_guest(plan, guest.prompt_files(plan.spec))
    for name, code in own_code().items():
        write_atomic(plan.spec.files.guest / "lib" / name, code, mode=0o644, durable=False)
    write_guest(
        plan, {f"etc/{name}": text for name, text in sandbox.guest_etc(plan.sandbox.hostname).items()}
    )
    (plan.spec.files.guest / "start").chmod(0o755)
    make_program_places(plan)
    _write_home(plan, guest.home_files(plan.spec))


def _write_home(plan: BubblewrapPlan, files: Mapping[str, str | bytes]) -> None:
    """Write ``files`` into a new home directory; one that an agent had is its own."""
    if not plan.spec.makes_home:
        return
    for name, text in files.items():
        make_private_dir((plan.spec.files.home / name).parent)
        write_atomic(plan.spec.files.home / name, text, durable=False)


def provision_supervise(plan: BubblewrapPlan) -> None:
    """Tell the program where it can ask for more; the environment names the address to every other one."""
    _write_home(plan, guest.supervise_files(plan.spec))
    if reporting := guest.reporting_files(plan.spec):
        write_guest(plan, reporting)
        link = plan.spec.files.guest / "lib" / "python3"
        link.unlink(missing_ok=True)
        link.symlink_to(plan.sandbox.interpreter)


def provision_git(plan: BubblewrapPlan) -> None:
    """Point git at the gate for every upstream of the manifest."""
    write_guest(plan, {"etc/gitconfig": guest.gitconfig(plan.spec)})


@functools.cache
def own_code() -> dict[str, bytes]:
    """Return process 1 and what it imports, compiled: compiling them anew would double its start."""
    return {f"{source.stem}.pyc": _compiled(source) for source in _OWN_CODE}


def _compiled(source: Path) -> bytes:
    code = compile(source.read_bytes(), source.name, "exec", dont_inherit=True, optimize=0)
    flags_and_size = bytes(12)
    return MAGIC_NUMBER + flags_and_size + marshal.dumps(code)


def make_program_places(plan: BubblewrapPlan) -> None:
    """Make the names below ``/run/bottlemux`` on which the program's files are mounted, and the links to them."""
    root = plan.spec.files.guest
    for mount in plan.program.mounts:
        place = root / mount.target.removeprefix(f"{GUEST}/")
        if os.path.isdir(mount.source):  # noqa: PTH112
            make_private_dir(place)
        else:
            write_atomic(place, b"", durable=False)
    for name, target in plan.program.links:
        link = root / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def provision_skills(plan: BubblewrapPlan) -> None:
    """Copy the agent's skills as they are now, and link them into a new home directory."""
    files = plan.spec.files
    shutil.rmtree(files.guest / "skills")
    for name, directory in guest.skill_directories(plan.spec).items():
        shutil.copytree(directory, files.guest / "skills" / name, symlinks=False)
    make_private_dir(files.guest / "skills")
    link = guest.skills_link(plan.spec)
    if link is not None and plan.spec.makes_home:
        make_private_dir((files.home / link[0]).parent)
        (files.home / link[0]).symlink_to(link[1])
