"""The Docker backend: bottles as containers of an engine that runs on this machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from backends.contract import ActiveAgent, Availability, Bottle, BottleBackend, BottleSpec
from bottlemux.errors import BottlemuxError, NotFoundError, UnavailableError, UsageError
from bottlemux.files import write_atomic
from bottlemux.identity import agent_of, is_slug
from bottlemux.state.liveness import is_alive, read_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.contract import Authority
    from backends.docker.bottle import DockerBottle
    from backends.docker.engine import Engine
    from backends.docker.leftovers import DockerCleanup
    from backends.docker.plan import DockerPlan
    from bottlemux.paths import Paths
    from bottlemux.state.liveness import RuntimeStatus

_ENGINE_FILE = "engine"
_CLIENT_HINT = "sudo apt-get install docker.io (or docker-ce-cli)"


class DockerBackend(BottleBackend["DockerPlan", "DockerCleanup"]):
    """Bottles as two containers each: the agent's, and its sidecars', which alone reach the outside.

    A bottle lives as long as its sidecars hold its lock, a file of this machine; so no engine is asked to list them.
    """

    name: ClassVar[str] = "docker"

    def __init__(self, paths: Paths, context: str = "") -> None:
        super().__init__(paths)
        self._context = context

    @property
    def _full_name(self) -> str:
        return f"{self.name}@{self._context}" if self._context else self.name

    @property
    def _endpoint(self) -> str:
        from backends.docker.endpoint import find_endpoint

        return find_endpoint(self._context)

    def _engine(self) -> Engine:
        from backends.docker.engine import Engine

        return Engine(self._endpoint)

    def _bottle(self, identity: str) -> DockerBottle:
        from backends.docker.bottle import DockerBottle

        return DockerBottle(identity, self.paths, self._recorded_endpoint(identity))

    def _recorded_endpoint(self, identity: str) -> str:
        """Return the engine that a running bottle is on, whatever this process's environment says."""
        try:
            return (self.paths.bottle(identity).runtime / _ENGINE_FILE).read_text("utf-8")
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
        from backends import boundaries, workspace

        if not spec.directory.is_dir():
            raise UsageError(f"{str(spec.directory)!r} is not a directory")
        boundaries.check_workspace(spec)
        if spec.workspace == "clone" and not spec.resumed and not workspace.is_repository(spec.directory):
            raise UsageError(
                f"{str(spec.directory)!r} is not the top of a git repository, so it cannot be cloned",
                hint="use --workspace mount or --workspace copy",
            )

    def _resolve_plan(self, spec: BottleSpec) -> DockerPlan:
        if shutil.which("docker") is None:
            raise UnavailableError("the docker command is not installed", hint=_CLIENT_HINT)
        self._engine().check()
        from backends.docker.plan import resolve

        return resolve(spec, self._full_name, self._endpoint)

    def launch(self, plan: DockerPlan) -> Bottle:
        """Make the bottle and its sidecars; see the contract."""
        from backends.docker import images, launcher, names, places, sources
        from backends.docker.bottle import remove
        from backends.docker.check import find_python
        from backends.host_files import held_lock

        engine = self._engine()
        files, identity = plan.spec.files, plan.spec.identity
        with held_lock(files) as lock:
            try:
                base = plan.spec.resolved.bottle.source.parent
                agent = images.resolve(engine, plan.image, base, _say)
                sidecars = images.ensure(engine, images.own_source(names.SIDECARS), _say)
                remove(engine, identity)
                places.make_directories(plan)
                write_atomic(files.runtime / _ENGINE_FILE, plan.endpoint, durable=False)
                authority = launcher.make_authority(plan)
                self.provision(plan, authority)
                places.link_python(plan, find_python(engine, agent, self.paths.state / "cache"))
                launcher.launch(engine, plan, sources.local(plan), authority, lock, (agent, sidecars))
            except BaseException:
                _undo(engine, plan)
                raise
        return self._bottle(identity)

    def _provision_ca(self, plan: DockerPlan, authority: Authority) -> None:
        from backends.docker import launcher, places

        places.write_guest(plan, {"ca.pem": authority.certificate.decode()})
        with (plan.spec.files.logs / "launch.log").open("a", encoding="utf-8") as log:
            log.write(f"certificate authority SHA-256 {launcher.fingerprint(authority)}\n")

    def _provision_prompt(self, plan: DockerPlan) -> None:
        from backends.docker import places

        places.provision_prompt(plan)

    def _provision_skills(self, plan: DockerPlan) -> None:
        from backends.docker import places

        places.provision_skills(plan)

    def _provision_git(self, plan: DockerPlan) -> None:
        from backends import guest
        from backends.docker import places

        places.write_guest(plan, {"etc/gitconfig": guest.gitconfig(plan.spec)})

    def _provision_supervise(self, plan: DockerPlan) -> None:
        from backends import guest
        from backends.docker import places

        places.write_home(plan, guest.supervise_files(plan.spec))
        places.write_guest(plan, guest.reporting_files(plan.spec))

    def find(self, identity: str) -> Bottle:
        """Return a handle on a running bottle. What is left of one that lost its agent's container is ended."""
        files = self.paths.bottle(identity)
        status = read_status(files)
        if status is not None and is_alive(files) and not _is_whole(identity, status):
            self._bottle(identity).close()
        if status is None or not is_alive(files):
            raise NotFoundError(f"{identity} does not run", hint=f"bottlemux resume {identity}")
        return self._bottle(identity)

    def enumerate_active(self) -> Sequence[ActiveAgent]:
        """Return the bottles whose lock the sidecars of this backend hold, without a call to the engine."""
        return [agent for slug in _identities(self.paths) if (agent := self._active(slug)) is not None]

    def _active(self, slug: str) -> ActiveAgent | None:
        files = self.paths.bottle(slug)
        status = read_status(files)
        if status is None or status.backend.partition("@")[0] != self.name or not is_alive(files):
            return None
        running = tuple(name for name, service in status.services.items() if service.state == "running")
        return ActiveAgent(status.backend, slug, agent_of(slug), status.started_at, running)

    def prepare_cleanup(self) -> DockerCleanup:
        """Find what no live bottle owns; nothing where no engine runs."""
        from backends.docker.leftovers import DockerCleanup, find_leftovers

        if not self.is_available():
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


def _undo(engine: Engine, plan: DockerPlan) -> None:
    from backends.docker import places
    from backends.docker.bottle import remove

    try:
        remove(engine, plan.spec.identity)
    finally:
        places.remove(plan)


def _is_whole(identity: str, status: RuntimeStatus) -> bool:
    """Say whether the agent's container runs too: its process 1 has the identity as its last argument."""
    if not status.init_pid:
        return False
    try:
        command = Path(f"/proc/{status.init_pid}/cmdline").read_bytes()
    except OSError:
        return False
    return command.rstrip(b"\0").split(b"\0")[-1] == identity.encode()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _identities(paths: Paths) -> list[str]:
    try:
        return sorted(name for name in os.listdir(paths.bottles) if is_slug(name))
    except FileNotFoundError:
        return []
