"""The embedded backend: bottles made by bubblewrap, without a daemon and without root."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

from backends.contract import ActiveAgent, BottleBackend
from bottlemux.errors import NotFoundError, UsageError
from bottlemux.identity import agent_of, is_slug
from bottlemux.state.liveness import is_alive, read_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.bubblewrap.leftovers import BubblewrapCleanup
    from backends.bubblewrap.plan import BubblewrapPlan
    from backends.contract import Authority, Availability, Bottle, BottleSpec
    from bottlemux.paths import Paths


class BubblewrapBackend(BottleBackend["BubblewrapPlan", "BubblewrapCleanup"]):
    """Bottles as processes of this machine in namespaces of their own.

    What only a launch needs is imported by it: entering and listing bottles has to be fast.
    """

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
            supervising.connect(self.paths.runtime) as zygote,
        ):
            places.make_directories(plan)
            authority = supervising.make_authority(plan.spec)
            self.provision(plan, authority)
            launcher.launch(zygote, plan, authority, lock, cache=self.paths.state / "cache")
        return self._bottle(plan.spec.identity)

    def _provision_ca(self, plan: BubblewrapPlan, authority: Authority) -> None:
        from backends import host_files

        host_files.write_guest(plan.spec, {"ca.pem": authority.certificate.decode()})

    def _provision_prompt(self, plan: BubblewrapPlan) -> None:
        from backends.bubblewrap import places

        places.provision_prompt(plan)

    def _provision_skills(self, plan: BubblewrapPlan) -> None:
        from backends import host_files

        host_files.provision_skills(plan.spec)

    def _provision_git(self, plan: BubblewrapPlan) -> None:
        from backends.bubblewrap import places

        places.provision_git(plan)

    def _provision_supervise(self, plan: BubblewrapPlan) -> None:
        from backends.bubblewrap import places

        places.provision_supervise(plan)

    def find(self, identity: str) -> Bottle:
        """Return a handle on a running bottle."""
        if not is_alive(self.paths.bottle(identity)):
            raise NotFoundError(f"{identity} does not run", hint=f"bottlemux resume {identity}")
        return self._bottle(identity)

    def _bottle(self, identity: str) -> Bottle:
        from backends.bubblewrap.bottle import BubblewrapBottle

        return BubblewrapBottle(identity, self.paths)

    def enumerate_active(self) -> Sequence[ActiveAgent]:
        """Return the bottles whose lock a supervisor of this backend holds."""
        return [agent for slug in _identities(self.paths) if (agent := self._active(slug)) is not None]

    def _active(self, slug: str) -> ActiveAgent | None:
        files = self.paths.bottle(slug)
        status = read_status(files)
        if status is None or status.backend != self.name or not is_alive(files):
            return None
        running = tuple(name for name, service in status.services.items() if service.state == "running")
        return ActiveAgent(self.name, slug, agent_of(slug), status.started_at, running)

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


def _identities(paths: Paths) -> list[str]:
    try:
        return sorted(name for name in os.listdir(paths.bottles) if is_slug(name))
    except FileNotFoundError:
        return []
