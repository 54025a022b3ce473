"""What dead bottles left on an engine and on this machine, found by label and removed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.bubblewrap import standins
from backends.docker import images, names
from bottlemux.identity import is_slug
from bottlemux.state.liveness import is_alive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.docker.engine import Engine
    from bottlemux.paths import Paths


@dataclass(frozen=True)
class DockerCleanup:
    """Containers, networks and images by name, of bottles that do not live."""

    paths: Paths
    containers: tuple[tuple[str, str], ...] = ()
    networks: tuple[str, ...] = ()
    images: tuple[str, ...] = ()

    def lines(self) -> Sequence[str]:
        """Return a line for each thing found."""
        found = [f"container {name}" for name, _slug in self.containers]
        found += [f"network {name}" for name in self.networks]
        return found + [f"image {name} of another version" for name in self.images]


def find_leftovers(engine: Engine, paths: Paths) -> DockerCleanup:
    """Find what belongs to no live bottle of this state directory, in three calls to the engine."""
    mine = {names.STATE_LABEL: str(paths.state)}
    found = [
        (item["Names"][0].lstrip("/"), item["Labels"][names.SLUG_LABEL]) for item in engine.containers(mine)
    ]
    dead = tuple((name, slug) for name, slug in found if _is_dead(paths, slug))
    networks = [
        item["Name"] for item in engine.networks(mine) if _is_dead(paths, item["Labels"][names.SLUG_LABEL])
    ]
    if len(dead) == len(found) and not engine.containers({names.ROLE_LABEL: names.SIDECARS}):
        networks += [item["Name"] for item in engine.networks({names.ROLE_LABEL: "outside"})]
    return DockerCleanup(paths, dead, tuple(networks), tuple(outdated_images(engine)))


def outdated_images(engine: Engine) -> list[str]:
    """Return the images that bottlemux built from other sources than today's, but for users' own."""
    current = images.current_tags()
    tags = [tag for item in engine.images() for tag in item["RepoTags"] or ()]
    own = tuple(f"{names.REPOSITORY}/{name}:" for name in images.own_names())
    return sorted(tag for tag in tags if tag.startswith(own) and tag not in current)


def _is_dead(paths: Paths, slug: str) -> bool:
    return is_slug(slug) and not is_alive(paths.bottle(slug))


def remove_leftovers(engine: Engine, plan: DockerCleanup) -> None:
    """Remove what ``plan`` lists; what is gone already, or in use again, is no error."""
    for name, slug in plan.containers:
        if _is_dead(plan.paths, slug):
            engine.remove_container(name)
            shutil.rmtree(plan.paths.bottle(slug).runtime, ignore_errors=True)
            standins.remove(plan.paths, slug)
    for name in plan.networks:
        engine.remove_network(name)
    for name in plan.images:
        engine.remove_image(name)
