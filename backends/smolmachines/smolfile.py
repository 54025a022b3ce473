"""What a Smolfile can say of a machine. Sockets, labels and the name are flags: the format has no keys for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tomlkit

from backends.programs import GUEST
from backends.smolmachines.plan import WORKSPACE, memory_mib

if TYPE_CHECKING:
    from backends.smolmachines.plan import SmolmachinesPlan

PYTHON = ("python3", "-I", "-S", "-B")
"""How the machine's root runs our own code: with nothing that the image's environment says of Python."""


def render(plan: SmolmachinesPlan, image: str) -> str:
    """Return the Smolfile of ``plan``. It never asks for a network."""
    document = tomlkit.document()
    document["image"] = image
    document["workdir"] = WORKSPACE
    document["cpus"] = plan.cpus
    document["memory"] = memory_mib(plan)
    document["net"] = False
    document["volumes"] = list(plan.volumes)
    return tomlkit.dumps(document)


def workload() -> list[str]:
    """Return the argv of the machine's workload."""
    return [*PYTHON, f"{GUEST}/lib/guest_init.py"]
