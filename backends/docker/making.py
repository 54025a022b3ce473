"""The steps of a launch: images, directories, containers. What a failed one made is undone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from backends import sidecar_specs
from backends.docker import images, launcher, linking, names, places, shipping, sources
from backends.docker.check import find_python
from backends.docker.removal import remove
from backends.host_files import held_lock
from bottlemux.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable

    from backends.contract import Authority
    from backends.docker.engine import Engine
    from backends.docker.plan import DockerPlan

    type Provision = Callable[[DockerPlan, Authority], object]


def make(engine: Engine, plan: DockerPlan, provision: Provision) -> None:
    """Make the bottle of ``plan`` and its sidecars; ``provision`` writes what its programs expect."""
    files = plan.spec.files
    with held_lock(files) as lock:
        try:
            agent = agent_image(engine, plan, _dockerfile(plan), _say)
            sidecars = images.ensure(engine, images.own_source(names.SIDECARS), _say)
            remove(engine, plan.spec.identity)  # what a launch that was killed left
            places.make_directories(plan)
            files.image.unlink(missing_ok=True)
            write_atomic(files.engine, plan.endpoint)
            sidecar_specs.write_routes(plan.spec)
            _start(engine, plan, lock, (agent, sidecars), lambda: _place(engine, plan, agent, provision))
            write_atomic(files.image, agent, durable=False)
        except BaseException:
            _undo(engine, plan)
            raise


def agent_image(engine: Engine, plan: DockerPlan, dockerfile: str, say: Callable[[str], object]) -> str:
    """Return the image that the bottle runs in, built where it is not there: its own with ``dockerfile`` on top."""
    base = plan.spec.resolved.bottle.source.parent
    owner = names.owner(plan.spec.paths, elsewhere=plan.is_elsewhere)
    return images.for_bottle(engine, plan.image, base, say, dockerfile, owner)


def _dockerfile(plan: DockerPlan) -> str:
    """Return what was approved for this bottle beside its image; empty if nothing was."""
    try:
        return plan.spec.files.dockerfile.read_text("utf-8")
    except FileNotFoundError:
        return ""


def _start(
    engine: Engine, plan: DockerPlan, lock: int, found: tuple[str, str], place: Callable[[], Authority]
) -> None:
    if not plan.is_elsewhere:
        launcher.launch(engine, plan, sources.local(plan), lock, found, place)
        return
    authority = place()
    shipped = shipping.ship(engine, plan, found[1])
    launcher.launch(engine, plan, shipped, lock, found, lambda: authority)
    linking.start(plan.spec.files, plan.spec.identity, plan.endpoint, lock)


def _place(engine: Engine, plan: DockerPlan, image: str, provision: Provision) -> Authority:
    """Provision the bottle; return the authority that it was made to trust."""
    authority = launcher.make_authority(plan)
    provision(plan, authority)
    places.link_python(plan, find_python(engine, image, plan.spec.paths.state / "cache"))
    return authority


def _undo(engine: Engine, plan: DockerPlan) -> None:
    try:
        remove(engine, plan.spec.identity)
        if plan.is_elsewhere and not plan.spec.resumed:
            engine.remove_volume(names.kept_volume(plan.spec.identity))
    finally:
        if plan.is_elsewhere:
            linking.end(plan.spec.files)
        places.remove(plan)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
