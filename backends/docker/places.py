"""The directories and files of a Docker bottle on this machine: what its containers mount."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from backends import guest, host_files
from backends.bubblewrap import standins
from bottlemux.files import make_private_dir

if TYPE_CHECKING:
    from backends.docker.plan import DockerPlan

_OWN_CODE = ("frames.py", "init.py", "relay.py")
_DIRECTORIES = ("bin", "etc", "lib", "skills")


def make_directories(plan: DockerPlan) -> None:
    """Make every directory that the containers mount, the working copy included, and name who is in the bottle."""
    spec = plan.spec
    host_files.make_directories(spec, _DIRECTORIES)
    make_private_dir(spec.files.proposals)
    for directory in (spec.files.guest, *(spec.files.guest / name for name in _DIRECTORIES)):
        # The agent may be another user than the operator. On the host nobody else has a way here.
        directory.chmod(0o755)
    host_files.write_guest(spec, _accounts(plan))
    if spec.workspace == "mount":
        standins.make(spec, plan.protection)
    elif not spec.resumed:
        host_files.make_workspace(spec)


def remove(plan: DockerPlan) -> None:
    """Remove what a failed launch made outside the bottle's state directory, which its caller owns."""
    standins.remove(plan.spec.paths, plan.spec.identity)
    shutil.rmtree(plan.spec.files.runtime, ignore_errors=True)


def provision_prompt(plan: DockerPlan) -> None:
    """Place the start script and what it reads, the bottle's own code, and a new home's files."""
    own = {f"lib/{name}": Path(__file__).with_name(name).read_text("utf-8") for name in _OWN_CODE}
    host_files.write_guest(plan.spec, {**guest.prompt_files(plan.spec), **own})
    (plan.spec.files.guest / "start").chmod(0o755)
    host_files.place_shipped_program(plan.spec)
    host_files.write_home(plan.spec, guest.home_files(plan.spec))


def _accounts(plan: DockerPlan) -> dict[str, str]:
    user, group = plan.user
    others = "" if user == 0 else "root:x:0:0:root:/root:/bin/sh\n"
    groups = "" if group == 0 else "root:x:0:\n"
    return {
        "etc/passwd": f"node:x:{user}:{group}:agent:/home/node:/bin/bash\n{others}"
        "nobody:x:65534:65534:nobody:/:/bin/false\n",
        "etc/group": f"node:x:{group}:\n{groups}nogroup:x:65534:\n",
        "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }


def link_python(plan: DockerPlan, path: str) -> None:
    """Name the image's Python, for the relay: the agent may put another one first on its own search path."""
    link = plan.spec.files.guest / "lib" / "python3"
    link.unlink(missing_ok=True)
    os.symlink(path, link)  # noqa: PTH211 - the target is a path in the bottle


def provision_skills(plan: DockerPlan) -> None:
    """Copy the agent's skills as they are now, readable for the agent, and link them into a new home directory."""
    host_files.provision_skills(plan.spec)
    place = plan.spec.files.guest / "skills"
    for path in (place, *place.rglob("*")):
        path.chmod(path.stat().st_mode & 0o755 | (0o755 if path.is_dir() else 0o444))
