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

from backends import ending, guest, host_files
from backends.bubblewrap import devices, sandbox, standins
from backends.bubblewrap.limits import remove_groups
from backends.programs import GUEST
from bottlemux.files import make_private_dir, write_atomic

if TYPE_CHECKING:
    from collections.abc import Generator

    from backends.bubblewrap.plan import BubblewrapPlan

_OWN_CODE = (Path(__file__).with_name("init.py"), Path(__file__).parents[2] / "sidecars" / "wire.py")


@contextlib.contextmanager
def undoing_on_failure(plan: BubblewrapPlan) -> Generator[None]:
    """Remove what a failed launch made outside the bottle's state directory, which its caller owns."""
    try:
        yield
    except BaseException:
        ending.ask_to_end(plan.spec.files)
        standins.remove(plan.spec.paths, plan.spec.identity)
        shutil.rmtree(plan.spec.files.runtime, ignore_errors=True)
        remove_groups(plan.group_directories)
        raise


def make_directories(plan: BubblewrapPlan) -> None:
    """Make every directory that the plan mounts, the working copy included."""
    host_files.make_directories(plan.spec, ("bin", "etc", "lib", "opt", "python", "skills"))
    if plan.sandbox.devices:
        devices.make(plan.spec.files)
    if plan.spec.workspace == "mount":
        standins.make(plan.spec, plan.protection)
    elif not plan.spec.resumed:
        host_files.make_workspace(plan.spec)


def provision_prompt(plan: BubblewrapPlan) -> None:
    """Place the start script and what it reads, process 1, and a new home's files."""
    host_files.write_guest(plan.spec, guest.prompt_files(plan.spec))
    for name, code in own_code().items():
        write_atomic(plan.spec.files.guest / "lib" / name, code, mode=0o644, durable=False)
    host_files.write_guest(
        plan.spec, {f"etc/{name}": text for name, text in sandbox.guest_etc(plan.sandbox.hostname).items()}
    )
    (plan.spec.files.guest / "start").chmod(0o755)
    make_program_places(plan)
    host_files.write_home(plan.spec, guest.home_files(plan.spec))


def provision_supervise(plan: BubblewrapPlan) -> None:
    """Tell the program where it can ask for more; the environment names the address to every other one."""
    host_files.write_home(plan.spec, guest.supervise_files(plan.spec))
    if reporting := guest.reporting_files(plan.spec):
        host_files.write_guest(plan.spec, reporting)
        link = plan.spec.files.guest / "lib" / "python3"
        link.unlink(missing_ok=True)
        link.symlink_to(plan.sandbox.interpreter)


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
