"""The files of a microVM bottle on this machine: what its machine is shown."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from backends import ending, guest, host_files
from backends.bubblewrap import seccomp, standins
from backends.environment import CA_FILE
from backends.programs import GUEST, HOME
from backends.smolmachines import settings, smolfile
from backends.smolmachines.keeper import READY
from backends.smolmachines.plan import KEEPER, PORTS, SOCKETS, WORKSPACE
from bottlemux.files import write_atomic

if TYPE_CHECKING:
    from backends.smolmachines.plan import SmolmachinesPlan

_OWN_CODE = ("confine.py", "guest_init.py")
_FILTERS = ("known.bpf", "refused.bpf")
_ETC = ("group", "gitconfig", "hosts", "nsswitch.conf", "passwd", "resolv.conf")
_WRITABLE = (WORKSPACE, HOME)
_SCRATCH = ("/tmp", "/var/tmp")  # noqa: S108 - in the machine
_PYTHON = '#!/bin/sh\nPATH=/usr/local/bin:/usr/bin:/bin exec python3 "$@"\n'
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def make_directories(plan: SmolmachinesPlan) -> None:
    """Make every directory that is shared, the working copy included."""
    host_files.make_directories(plan.spec, ("bin", "etc", "lib", "skills"))
    if plan.spec.workspace == "mount":
        standins.make(plan.spec, plan.protection)
    elif not plan.spec.resumed:
        host_files.make_workspace(plan.spec)


def remove(plan: SmolmachinesPlan) -> None:
    """Remove what a failed launch made outside the bottle's state directory, which its caller owns."""
    ending.ask_to_end(plan.spec.files)
    standins.remove(plan.spec.paths, plan.spec.identity)
    shutil.rmtree(plan.spec.files.runtime, ignore_errors=True)


def smolfile_path(plan: SmolmachinesPlan) -> Path:
    """Return where the machine's Smolfile is; written by the launcher."""
    return plan.spec.files.state / "Smolfile"


def write_smolfile(plan: SmolmachinesPlan, image: str) -> None:
    """Write the Smolfile that the machine is made from."""
    write_atomic(smolfile_path(plan), smolfile.render(plan, image), durable=False)


def provision_prompt(plan: SmolmachinesPlan) -> None:
    """Place the start script and what it reads, what confines the agent, and a new home's files."""
    own = {f"lib/{name}": Path(__file__).with_name(name).read_text("utf-8") for name in _OWN_CODE}
    host_files.write_guest(
        plan.spec, {**guest.prompt_files(plan.spec), **own, **_accounts(plan), **_settings(plan)}
    )
    (plan.spec.files.guest / "start").chmod(0o755)
    for name, code in zip(_FILTERS, seccomp.cached_filters(plan.spec.paths.state / "cache"), strict=True):
        write_atomic(plan.spec.files.guest / "lib" / name, code, mode=0o644, durable=False)
    host_files.place_shipped_program(plan.spec)
    host_files.write_home(plan.spec, guest.home_files(plan.spec))


def _settings(plan: SmolmachinesPlan) -> dict[str, str]:
    """Return what process 1 and every program's start read, for ``guest_init`` and ``confine``."""
    view = {
        "guest": [GUEST],
        "etc": _ETC,
        "bundle": [SYSTEM_BUNDLE],
        "certificate": [CA_FILE],
        "pinned": [f"{WORKSPACE}/{name}" for name in plan.protection.pinned],
        "read_only": [f"{WORKSPACE}/{name}" for name in plan.protection.paths],
        "writable": _WRITABLE,
        "scratch": _SCRATCH,
        "sockets": [SOCKETS],
        "ports": [f"{PORTS[name]}:{SOCKETS}/{name}.sock" for name in plan.services],
        "keeper": [f"{SOCKETS}/{KEEPER}.sock", READY],
        "user": [str(number) for number in plan.user],
    }
    user = {
        "user": [str(number) for number in plan.user],
        "processes": [str(plan.pids)],
        "environ": [f"{name}={value}" for name, value in plan.environ.items()],
        "directory": [WORKSPACE],
        "filters": _FILTERS,
        "writable": [*_WRITABLE, *_SCRATCH, "/dev/pts", "/dev/shm"],  # noqa: S108 - in the machine
    }
    return {"lib/init.settings": settings.encode(view), "lib/confine.settings": settings.encode(user)}


def _accounts(plan: SmolmachinesPlan) -> dict[str, str]:
    user, group = plan.user
    services = " ".join(PORTS)
    return {
        "etc/passwd": f"root:x:0:0:root:/root:/bin/sh\nnode:x:{user}:{group}:agent:{HOME}:/bin/bash\n"
        "nobody:x:65534:65534:nobody:/:/bin/false\n",
        "etc/group": f"root:x:0:\nnode:x:{group}:\nnogroup:x:65534:\n",
        "etc/hosts": f"127.0.0.1 localhost {services} {plan.spec.identity}\n::1 localhost\n",
        "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        "etc/resolv.conf": "# no name service: every request goes through http://egress:3128\n",
    }


def provision_supervise(plan: SmolmachinesPlan) -> None:
    """Tell the program where it can ask for more, and with what it reports."""
    host_files.write_home(plan.spec, guest.supervise_files(plan.spec))
    host_files.write_guest(plan.spec, {**guest.reporting_files(plan.spec), "lib/python3": _PYTHON})
    (plan.spec.files.guest / "lib" / "python3").chmod(0o755)
