"""The Docker backend: bottles as containers of an engine that runs on this machine, or elsewhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from backends import host_files
from backends.contract import Availability, Bottle, BottleSpec
from backends.local import LocalBackend
from bottlemux.errors import BottlemuxError, NotFoundError, UnavailableError
from bottlemux.state.liveness import identities, is_alive, may_run_elsewhere, read_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from backends.contract import ActiveAgent, Authority
    from backends.docker.bottle import DockerBottle
    from backends.docker.engine import Engine
    from backends.docker.leftovers import DockerCleanup
    from backends.docker.plan import DockerPlan
    from bottlemux.paths import Paths
    from bottlemux.state.liveness import RuntimeStatus

_CLIENT_HINT = "sudo apt-get install docker.io (or docker-ce-cli)"


class DockerBackend(LocalBackend["DockerPlan", "DockerCleanup"]):
    """Bottles as two containers each: the agent's, and its sidecars', which alone reach the outside.

    A bottle lives as long as its sidecars hold its lock, a file of this machine; so no engine is asked to list them.
    For a bottle on an engine elsewhere a process of this machine holds it, see :mod:`backends.docker.link`.
    """

    name: ClassVar[str] = "docker"
    can_rebuild: ClassVar[bool] = True

    def __init__(self, paths: Paths, context: str = "") -> None:
        super().__init__(paths)
        self._context = context
        self._known: Engine | None = None

    @property
    def _full_name(self) -> str:
        return f"{self.name}@{self._context}" if self._context else self.name

    @property
    def _endpoint(self) -> str:
        from backends.docker.endpoint import find_endpoint

        return find_endpoint(self._context)

    @property
    def workspaces(self) -> tuple[str, ...]:
        """Elsewhere, no directory of this machine can be mounted."""
        from backends.docker.endpoint import is_elsewhere

        return ("clone", "copy") if is_elsewhere(self._endpoint) else super().workspaces

    def named_engines(self) -> Sequence[str]:
        """Return the Docker contexts that the user's settings name."""
        from bottlemux.manifest.config import load_config

        return load_config(self.paths).docker.engines

    @property
    def needs_gvisor(self) -> bool:
        """Whether the user's settings want no bottle outside gVisor."""
        from bottlemux.manifest.config import load_config

        return load_config(self.paths).docker.gvisor == "required"

    def variants(self) -> Sequence[str]:
        """Return the names under which bottles run on the named engines."""
        return [f"{self.name}@{context}" for context in self.named_engines()]

    def _engine(self, endpoint: str = "") -> Engine:
        """Return the engine at ``endpoint``, by default that of the context. The last one's connection is kept."""
        from backends.docker.engine import Engine

        endpoint = endpoint or self._endpoint
        if self._known is None or self._known.endpoint != endpoint:
            self._known = Engine(endpoint)
        return self._known

    def _bottle(self, identity: str) -> DockerBottle:
        from backends.docker.bottle import DockerBottle

        return DockerBottle(identity, self.paths, self._recorded_endpoint(identity))

    def _recorded_endpoint(self, identity: str) -> str:
        """Return the engine that a bottle is on, whatever this process's environment says."""
        try:
            return self.paths.bottle(identity).engine.read_text("utf-8")
        except OSError:
            return self._endpoint

    def is_available(self) -> Availability:
        """Ask the engine whether it is there and on this machine."""
        if shutil.which("docker") is None:
            return Availability(
                available=False, reason="the docker command is not installed", hint=_CLIENT_HINT
            )
        try:
            endpoint = self._endpoint
            # Importing the engine's library takes longer than all the rest: not where there is no engine.
            if endpoint.startswith("unix://") and not Path(endpoint.removeprefix("unix://")).exists():
                return Availability(
                    available=False,
                    reason=f"no Docker engine runs at {endpoint}",
                    hint="sudo systemctl start docker",
                )
            self._engine().check()
        except BottlemuxError as error:
            return Availability(available=False, reason=error.message, hint=error.hint)
        return Availability(available=True)

    def _validate(self, spec: BottleSpec) -> None:
        from backends import boundaries

        boundaries.check_directory(spec)

    def _resolve_plan(self, spec: BottleSpec) -> DockerPlan:
        if shutil.which("docker") is None:
            raise UnavailableError("the docker command is not installed", hint=_CLIENT_HINT)
        facts = self._engine().check()
        from backends.docker.plan import check_root, resolve

        if os.getuid() == 0:
            check_root(spec, self._endpoint)
        return resolve(spec, self._full_name, self._endpoint, facts, needs_gvisor=self.needs_gvisor)

    def launch(self, plan: DockerPlan) -> Bottle:
        """Make the bottle and its sidecars; see the contract."""
        from backends.docker.making import make

        make(self._engine(plan.endpoint), plan, self.provision)
        return self._bottle(plan.spec.identity)

    def build(self, plan: DockerPlan, dockerfile: str, say: Callable[[str], object]) -> str:
        """Build what the bottle will run in, on top of its own image."""
        from backends.docker.making import agent_image

        return agent_image(self._engine(plan.endpoint), plan, dockerfile, say)

    def image_of(self, identity: str) -> str:
        """Return the image of the bottle's latest launch, once that was complete."""
        try:
            return self.paths.bottle(identity).image.read_text("utf-8")
        except OSError:
            return ""

    def _provision_ca(self, plan: DockerPlan, authority: Authority) -> None:
        from backends.docker import launcher

        super()._provision_ca(plan, authority)
        with (plan.spec.files.logs / "launch.log").open("a", encoding="utf-8") as log:
            log.write(f"certificate authority SHA-256 {launcher.fingerprint(authority)}\n")

    def _provision_prompt(self, plan: DockerPlan) -> None:
        from backends.docker import places

        places.provision_prompt(plan)

    def _provision_skills(self, plan: DockerPlan) -> None:
        from backends.docker import places

        places.provision_skills(plan)

    def _provision_supervise(self, plan: DockerPlan) -> None:
        from backends import guest

        host_files.write_home(plan.spec, guest.supervise_files(plan.spec))
        host_files.write_guest(plan.spec, guest.reporting_files(plan.spec))

    def find(self, identity: str) -> Bottle:
        """Return a handle on a running bottle; one that lost its agent's container runs no more."""
        files = self.paths.bottle(identity)
        status = read_status(files)
        if status is None or not is_alive(files) or not self._is_whole(identity, status):
            raise NotFoundError(f"{identity} does not run", hint=f"bottlemux resume {identity}")
        return self._bottle(identity)

    def end(self, identity: str) -> None:
        """End a bottle, or what is left of one that lost its agent's container."""
        files = self.paths.bottle(identity)
        if read_status(files) is not None and is_alive(files):
            self._bottle(identity).close()

    def _is_whole(self, identity: str, status: RuntimeStatus) -> bool:
        """Say whether the agent's container runs too, or is still being started: that is its launcher's."""
        from backends.docker import recovery
        from backends.docker.endpoint import is_elsewhere

        endpoint = self._recorded_endpoint(identity)
        if is_elsewhere(endpoint):
            from backends.docker.engine import Engine

            return recovery.runs(Engine(endpoint), identity)
        if not status.init_pid or recovery.is_process(status.init_pid, identity):
            return True
        # In gVisor it is the process of the sandbox, which is called otherwise.
        return recovery.runs(self._engine(endpoint), identity)

    def recover(self, identity: str) -> Bottle | None:
        """Link a bottle of an engine elsewhere again that lost its link; see the contract."""
        from backends.docker import recovery

        return self._bottle(identity) if recovery.recover(self.paths, identity) else None

    def discard(self, identity: str) -> None:
        """Remove what an engine elsewhere keeps of an ended bottle."""
        from backends.docker import recovery

        recovery.discard(self.paths, identity)

    def bring_back(self, identity: str) -> None:
        """Bring the working copy of a bottle elsewhere into its state directory."""
        from backends.docker import recovery

        recovery.bring_back(self.paths, identity, "workspace")

    def release(self, identity: str) -> None:
        """Bring an ended bottle from an engine elsewhere here."""
        from backends.docker import recovery

        recovery.release(self.paths, identity)

    def enumerate_active(self) -> Iterator[ActiveAgent]:
        """Yield the bottles whose lock is held, without a call to an engine, then those that lost their link.

        Each engine of one of these is asked at the same time; those that do not answer are named in what is raised.
        """
        unheld: list[str] = []
        for slug in identities(self.paths):
            files = self.paths.bottle(slug)
            if (status := self._held(slug)) is not None:
                yield self._active(slug, status)
            elif may_run_elsewhere(files) and not is_alive(files):
                unheld.append(slug)
        if unheld:
            from backends.docker import recovery

            yield from recovery.enumerate_unheld(self.paths, unheld)

    def prepare_cleanup(self) -> DockerCleanup:
        """Find what no live bottle owns; nothing where no engine of this machine runs. Raises for one elsewhere."""
        from backends.docker.endpoint import is_elsewhere
        from backends.docker.leftovers import DockerCleanup, find_leftovers

        if not is_elsewhere(self._endpoint) and not self.is_available():
            return DockerCleanup(self.paths)
        return find_leftovers(self._engine(), self.paths)

    def describe_cleanup(self, plan: DockerCleanup) -> Sequence[str]:
        """Return a line for each leftover."""
        return plan.lines()

    def cleanup(self, plan: DockerCleanup) -> None:
        """Remove exactly what ``plan`` lists."""
        from backends.docker.leftovers import remove_leftovers

        if plan.lines():
            remove_leftovers(self._engine(), plan)
