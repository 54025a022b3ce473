"""Which of an engine's runtimes an agent's container gets: its own choice, or gVisor, a kernel of the bottle's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backends.docker import walls
from backends.docker.endpoint import described
from bottlemux.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

GVISOR = "runsc"
_REQUIRED = 'gVisor is required (gvisor = "required" in config.toml)'


def choose(facts: Mapping[str, Any], endpoint: str, *, needs_gvisor: bool) -> str:
    """Return gVisor where the engine at ``endpoint``, which says ``facts`` of itself, has it; else nothing.

    Where it is needed, an engine without it is an ``UnavailableError``.
    """
    # Nobody can enter a kernel of its own to give a root operator's files another owner.
    is_walled = walls.are_built(endpoint)
    if GVISOR in facts.get("Runtimes", {}) and not is_walled:
        return GVISOR
    if needs_gvisor and is_walled:
        raise UnavailableError(
            f"{_REQUIRED}, and the bottles of root on this machine cannot run in it",
            hint="run bottlemux as an ordinary user in the docker group",
        )
    if needs_gvisor:
        raise UnavailableError(
            f"{_REQUIRED}, and the Docker engine {described(endpoint)} has no runtime {GVISOR!r}",
            hint="install gVisor there, then: sudo runsc install; sudo systemctl reload docker",
        )
    return ""
