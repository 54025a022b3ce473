"""The embedded backend: bottles made by bubblewrap, without a daemon and without root."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from backends.local import LocalBackend
from bottlemux.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.bubblewrap.leftovers import BubblewrapCleanup
    from backends.bubblewrap.plan import BubblewrapPlan
    from backends.contract import ActiveAgent, Availability, Bottle, BottleSpec


class BubblewrapBackend(LocalBackend["BubblewrapPlan", "BubblewrapCleanup"]):
    """Bottles as processes of this machine in namespaces of their own."""

    name: ClassVar[str] = "bubblewrap"

    def is_available(self) -> Availability:
        """Try the smallest bottle: a program that does nothing."""
        from backends.bubblewrap import tool

        return tool.availability()

    def _validate(self, spec: BottleSpec) -> None:
        if spec.resolved.bottle.image is not None:
            raise UsageError(
                f"bottle {spec.resolved.bottle.name!r} names an image, which bubblewrap does not use",
                hint="remove 'image', or choose another backend",
            )
        if spec.files.dockerfile.exists():
            raise UsageError(
                f"{spec.identity} got programs that bubblewrap cannot give it",
                hint=f"bring it back where it was; {spec.files.dockerfile} says what it got",
            )
        from backends import boundaries

        boundaries.check_directory(spec)

    def _resolve_plan(self, spec: BottleSpec) -> BubblewrapPlan:
        from backends.bubblewrap import tool
        from backends.bubblewrap.plan import resolve

        bwrap, changed = tool.find()
        return resolve(spec, bwrap, tool.version(bwrap, changed))

    def launch(self, plan: BubblewrapPlan) -> Bottle:
        """Make the bottle and its sidecars; see the contract."""
        from backends import host_files, supervising
        from backends.bubblewrap import launcher, places

        files = plan.spec.files
        with (
            host_files.held_lock(files) as lock,
            places.undoing_on_failure(plan),
            supervising.connect(self.paths.runtime) as parent,
        ):
            places.make_directories(plan)
            authority = supervising.make_authority(plan.spec)
            self.provision(plan, authority)
            launcher.launch(parent, plan, authority, lock, cache=self.paths.state / "cache")
        return self._bottle(plan.spec.identity)

    def _provision_prompt(self, plan: BubblewrapPlan) -> None:
        from backends.bubblewrap import places

        places.provision_prompt(plan)

    def _provision_supervise(self, plan: BubblewrapPlan) -> None:
        from backends.bubblewrap import places

        places.provision_supervise(plan)

    def _bottle(self, identity: str) -> Bottle:
        from backends.bubblewrap.bottle import BubblewrapBottle

        return BubblewrapBottle(identity, self.paths)

    def enumerate_active(self) -> Sequence[ActiveAgent]:
        """Return the bottles whose lock a supervisor of this backend holds."""
        return [self._active(identity, status) for identity, status in self._all_held()]

    def prepare_cleanup(self) -> BubblewrapCleanup:
        """Find what no live bottle owns."""
        from backends.bubblewrap.leftovers import find_leftovers

        return find_leftovers(self.paths)

    def describe_cleanup(self, plan: BubblewrapCleanup) -> Sequence[str]:
        """Return a line for each leftover."""
        return plan.lines()

    def cleanup(self, plan: BubblewrapCleanup) -> None:
        """Remove exactly what ``plan`` lists."""
        from backends.bubblewrap.leftovers import remove_leftovers

        remove_leftovers(plan)
