"""``docker@any``: the backend that leaves to the engines themselves which of them gets a bottle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from backends.contract import Availability
from backends.docker import choosing
from backends.docker.backend import DockerBackend
from bottlemux.errors import BottlemuxError

if TYPE_CHECKING:
    from backends.contract import BottleSpec
    from backends.docker.plan import DockerPlan


class AnyDockerBackend(DockerBackend):
    """Plans for the least loaded engine; the bottle's record then names that one."""

    @property
    def workspaces(self) -> tuple[str, ...]:
        """Nobody knows beforehand whether it will be an engine of this machine."""
        return ("clone", "copy")

    def is_available(self) -> Availability:
        """Ask all of them."""
        try:
            choosing.choose(self.named_engines(), needs_gvisor=self.needs_gvisor)
        except BottlemuxError as error:
            return Availability(available=False, reason=error.message, hint=error.hint)
        return Availability(available=True)

    def _resolve_plan(self, spec: BottleSpec) -> DockerPlan:
        best, failed = choosing.choose(self.named_engines(), needs_gvisor=self.needs_gvisor)
        plan = DockerBackend(self.paths, best.context)._resolve_plan(spec)
        silent = tuple(f"the engine {one.context} was not asked further: {one.reason}" for one in failed)
        return replace(plan, warnings=(*plan.warnings, *silent), chosen_by=str(best.figures))
