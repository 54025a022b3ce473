"""What the backends share whose bottles are held by a lock of this machine and shown files of it."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

from backends.contract import ActiveAgent, BottleBackend, BottlePlan
from bottlemux.errors import NotFoundError
from bottlemux.identity import agent_of
from bottlemux.state.liveness import identities, is_alive, read_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from backends.contract import Authority, Bottle
    from bottlemux.state.liveness import RuntimeStatus


class LocalBackend[PlanT: BottlePlan, CleanupT](BottleBackend[PlanT, CleanupT]):
    """A backend that writes a bottle's files here before it shows them, and asks the locks which bottles run.

    What only a launch needs is imported by it: entering and listing bottles has to be fast.
    """

    @abc.abstractmethod
    def _bottle(self, identity: str) -> Bottle:
        """Return a handle on a bottle, without a look whether it runs."""

    def find(self, identity: str) -> Bottle:
        """Return a handle on a running bottle."""
        if not is_alive(self.paths.bottle(identity)):
            raise NotFoundError(f"{identity} does not run", hint=f"bottlemux resume {identity}")
        return self._bottle(identity)

    def _all_held(self) -> Iterator[tuple[str, RuntimeStatus]]:
        """Yield each bottle that :meth:`_held` finds, by its identity."""
        for identity in identities(self.paths):
            if (status := self._held(identity)) is not None:
                yield identity, status

    def _held(self, identity: str) -> RuntimeStatus | None:
        """Return the report of a bottle whose lock a supervisor of this backend holds; None for any other one."""
        files = self.paths.bottle(identity)
        status = read_status(files)
        if status is None or status.backend.partition("@")[0] != self.name or not is_alive(files):
            return None
        return status

    def _active(self, identity: str, status: RuntimeStatus, also: Iterable[str] = ()) -> ActiveAgent:
        """Return the row of a bottle that runs: its sidecars that run, and what is shown ``also``."""
        running = [name for name, service in status.services.items() if service.state == "running"]
        return ActiveAgent(status.backend, identity, agent_of(identity), status.started_at, (*running, *also))

    def _provision_ca(self, plan: PlanT, authority: Authority) -> None:
        from backends import host_files

        host_files.write_guest(plan.spec, {"ca.pem": authority.certificate.decode()})

    def _provision_skills(self, plan: PlanT) -> None:
        from backends import host_files

        host_files.provision_skills(plan.spec)

    def _provision_git(self, plan: PlanT) -> None:
        from backends import guest, host_files

        host_files.write_guest(plan.spec, {"etc/gitconfig": guest.gitconfig(plan.spec)})
