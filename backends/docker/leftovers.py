"""What dead bottles left on an engine and on this machine, found by label and removed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backends.bubblewrap import standins
from backends.docker import images, names
from bottlemux.identity import is_slug
from bottlemux.state.liveness import is_alive, may_run_elsewhere

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from backends.docker.engine import Engine
    from bottlemux.paths import Paths


@dataclass(frozen=True)
class DockerCleanup:
    """Containers, networks, volumes and images by name, of bottles that do not live."""

    paths: Paths
    containers: tuple[tuple[str, str], ...] = ()
    networks: tuple[str, ...] = ()
    volumes: tuple[tuple[str, str], ...] = ()
    images: tuple[str, ...] = ()
    bottle_images: tuple[str, ...] = ()

    def lines(self) -> Sequence[str]:
        """Return a line for each thing found."""
        found = [f"container {name}" for name, _slug in self.containers]
        found += [f"network {name}" for name in self.networks]
        found += [f"volume {name}" for name, _slug in self.volumes]
        found += [f"image {name} of another version" for name in self.images]
        return found + [f"image {name} of a bottle that is gone" for name in self.bottle_images]


def find_leftovers(engine: Engine, paths: Paths) -> DockerCleanup:
    """Find what belongs to no live bottle of this state directory, in a few calls to the engine."""
    if engine.is_elsewhere:
        return _find_elsewhere(engine, paths)
    mine = {names.STATE_LABEL: names.owner(paths, elsewhere=False)}
    found = [_named(item) for item in engine.containers(mine)]
    dead = tuple((name, slug) for name, slug in found if _is_dead(paths, slug))
    networks = [item["Name"] for item in engine.networks(mine) if _is_dead(paths, _slug(item))]
    if len(dead) == len(found):
        networks += _outside(engine)
    outdated = tuple(outdated_images(engine))
    return DockerCleanup(paths, dead, tuple(networks), (), outdated, _orphaned_images(engine, paths))


def _find_elsewhere(engine: Engine, paths: Paths) -> DockerCleanup:
    """An engine elsewhere may have others' images, and keeps what a bottle has until that is removed."""
    if not paths.installation.exists():
        return DockerCleanup(paths)
    mine = {names.STATE_LABEL: names.owner(paths, elsewhere=True)}
    containers = engine.containers(mine)
    whole = whole_bottles(containers)
    dead = tuple(_named(item) for item in containers if _is_dead(paths, _slug(item), whole))
    networks = [item["Name"] for item in engine.networks(mine) if _is_dead(paths, _slug(item), whole)]
    volumes = [
        (item["Name"], _slug(item))
        for item in engine.volumes(mine)
        if _is_dead(paths, _slug(item), whole)
        and (item["Name"] != names.kept_volume(_slug(item)) or not _is_recorded(paths, _slug(item)))
    ]
    if len(dead) == len(containers):
        networks += _outside(engine)
    return DockerCleanup(paths, dead, tuple(networks), tuple(volumes))


def whole_bottles(containers: Iterable[dict[str, Any]]) -> frozenset[str]:
    """Return the bottles of which both containers run."""
    running: dict[str, set[str]] = {}
    for item in containers:
        if item["State"] == "running":
            running.setdefault(_slug(item), set()).add(item["Labels"].get(names.ROLE_LABEL, ""))
    return frozenset(slug for slug, roles in running.items() if {names.AGENT, names.SIDECARS} <= roles)


def _named(item: dict[str, Any]) -> tuple[str, str]:
    return item["Names"][0].lstrip("/"), _slug(item)


def _slug(item: dict[str, Any]) -> str:
    return str(item["Labels"].get(names.SLUG_LABEL, ""))


def _outside(engine: Engine) -> list[str]:
    """Return the network of all sidecars, where there are none."""
    if engine.containers({names.ROLE_LABEL: names.SIDECARS}):
        return []
    return [item["Name"] for item in engine.networks({names.ROLE_LABEL: "outside"})]


def outdated_images(engine: Engine) -> list[str]:
    """Return the images that bottlemux built from other sources than today's, but for users' own."""
    current = images.current_tags()
    tags = [tag for item in engine.images() for tag in item["RepoTags"] or ()]
    own = tuple(f"{names.REPOSITORY}/{name}:" for name in images.own_names())
    return sorted(tag for tag in tags if tag.startswith(own) and tag not in current)


def _orphaned_images(engine: Engine, paths: Paths) -> tuple[str, ...]:
    """Return the images built for approved programs of bottles here, of which none is left, not even its record."""
    kept = {images.dockerfile_digest(path.read_text("utf-8")) for path in paths.bottles.glob("*/Dockerfile")}
    mine = [
        item
        for item in engine.images()
        if item["Labels"].get(names.STATE_LABEL) == names.owner(paths, elsewhere=False)
        and item["Labels"].get(names.DOCKERFILE_LABEL, "") not in kept
    ]
    return tuple(sorted(tag for item in mine for tag in item["RepoTags"] or ()))


def _is_dead(paths: Paths, slug: str, whole: Collection[str] = ()) -> bool:
    """Say whether nothing holds the bottle, nor could: one that is ``whole`` elsewhere only has to be linked again."""
    files = paths.bottle(slug)
    return is_slug(slug) and not is_alive(files) and not (slug in whole and may_run_elsewhere(files))


def _is_recorded(paths: Paths, slug: str) -> bool:
    return paths.bottle(slug).metadata.exists()


def remove_leftovers(engine: Engine, plan: DockerCleanup) -> None:
    """Remove what ``plan`` lists; what is gone already, or in use again, is no error."""
    for name, slug in plan.containers:
        if _is_dead(plan.paths, slug):
            if name == names.agent_container(slug):
                engine.stop_container(name)
            engine.remove_container(name)
            shutil.rmtree(plan.paths.bottle(slug).runtime, ignore_errors=True)
            standins.remove(plan.paths, slug)
    for name in plan.networks:
        engine.remove_network(name)
    for name, slug in plan.volumes:
        if _is_dead(plan.paths, slug):
            engine.remove_volume(name)
    for name in (*plan.images, *plan.bottle_images):
        engine.remove_image(name)
