"""Machines, runtime directories and stand-ins of bottles that do not live, found and removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.smolmachines import names, tool
from bottlemux.identity import is_slug
from bottlemux.state.liveness import is_alive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bottlemux.paths import Paths


@dataclass(frozen=True)
class SmolmachinesCleanup:
    """``stop`` are machines that run for a bottle that does not live, ``delete`` those of bottles without a record."""

    paths: Paths
    stop: tuple[tuple[str, str], ...] = ()
    delete: tuple[tuple[str, str], ...] = ()

    def lines(self) -> Sequence[str]:
        """Return a line for each thing found."""
        running = [f"machine {name} that runs without its bottle" for name, _slug in self.stop]
        return running + [f"machine {name} of a removed bottle" for name, _slug in self.delete]


def find_leftovers(smolvm: tool.Smolvm, paths: Paths) -> SmolmachinesCleanup:
    """Find what belongs to no live bottle of this state directory, in one call."""
    mine = [
        (machine, machine.labels[names.SLUG_LABEL])
        for machine in smolvm.machines()
        if machine.labels.get(names.STATE_LABEL) == names.state_label(paths)
        and is_slug(machine.labels.get(names.SLUG_LABEL, ""))
    ]
    dead = [(machine, slug) for machine, slug in mine if not is_alive(paths.bottle(slug))]
    kept = [(machine, slug) for machine, slug in dead if paths.bottle(slug).metadata.exists()]
    return SmolmachinesCleanup(
        paths,
        stop=tuple((machine.name, slug) for machine, slug in kept if not machine.is_at_rest),
        delete=tuple((machine.name, slug) for machine, slug in dead if (machine, slug) not in kept),
    )


def remove_leftovers(smolvm: tool.Smolvm, plan: SmolmachinesCleanup) -> None:
    """Remove what ``plan`` lists, unless it is in use again."""
    for name, slug in plan.stop:
        if not is_alive(plan.paths.bottle(slug)):
            smolvm.stop(name)
    for name, slug in plan.delete:
        if not is_alive(plan.paths.bottle(slug)) and not plan.paths.bottle(slug).metadata.exists():
            smolvm.delete(name)
