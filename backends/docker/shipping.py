"""Bringing a bottle's files to an engine elsewhere: into volumes, by the engine's archive interface.

One volume has what every launch brings anew and goes with the containers; the other has what the bottle keeps (home,
working copy, records) and goes with the bottle. What containers mount are directories below a volume's own, so a
third container, which never runs, has both: the engine then knows them to be in use.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.docker import containers, names
from backends.docker.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from backends.docker.engine import Engine
    from backends.docker.plan import DockerPlan

BROUGHT, KEPT = "/brought", "/kept"
_NAMED = "named"
_AUTHORITIES = "authorities.pem"
_CHUNK = 1 << 20


def ship(engine: Engine, plan: DockerPlan, image: str) -> Sources:
    """Make the volumes of ``plan``'s bottle where they are missing, fill them and return where things are there."""
    identity, owner = plan.spec.identity, names.owner(plan.spec.paths, elsewhere=True)
    is_new = not engine.has_volume(names.kept_volume(identity))
    labels = names.labels(owner, identity, names.PORTER)
    brought = Path(engine.make_volume(names.brought_volume(identity), labels))
    kept = Path(engine.make_volume(names.kept_volume(identity), labels))
    named = {path: brought / _NAMED / str(at) for at, path in enumerate(containers.shown_files(plan))}
    with engine.translated("bring the bottle's files there"):
        engine.api.create_container(
            image, name=names.porter_container(identity), labels=labels,
            host_config=engine.api.create_host_config(
                mounts=list(porter_mounts(identity)), network_mode="none", cap_drop=["ALL"],
            ),
        )  # fmt: skip
    _put(engine, plan, BROUGHT, lambda archive: _add_brought(archive, plan))
    _put(engine, plan, KEPT, lambda archive: _add_kept(archive, plan, is_new=is_new))
    return Sources(
        guest=brought / "guest",
        home=kept / "home",
        workspace=kept / "workspace",
        state=kept / "state",
        runtime=None,
        authorities=brought / _AUTHORITIES,
        owner=owner,
        propagation=None,
        named=named,
    )


def porter_mounts(identity: str, *, writable: bool = True) -> Iterator[Any]:
    """Yield the mounts of a container that sees the volumes as a whole."""
    from docker.types import Mount

    for target, name in ((BROUGHT, names.brought_volume(identity)), (KEPT, names.kept_volume(identity))):
        if writable or target == KEPT:
            yield Mount(target, name, type="volume", read_only=not writable, no_copy=True)


def _add_brought(archive: tarfile.TarFile, plan: DockerPlan) -> None:
    _add(archive, plan, plan.spec.files.guest, "guest")
    _add(archive, plan, containers.system_authorities(), _AUTHORITIES)
    for at, path in enumerate(containers.shown_files(plan)):
        _add(archive, plan, path, f"{_NAMED}/{at}")


def _add_kept(archive: tarfile.TarFile, plan: DockerPlan, *, is_new: bool) -> None:
    files = plan.spec.files
    if is_new:
        _add(archive, plan, files.home, "home")
        _add(archive, plan, files.workspace, "workspace")
    _add(archive, plan, files.routes, f"state/{files.routes.name}")
    _add(archive, plan, files.lock, f"state/{files.lock.name}")
    _add(archive, plan, files.proposals, f"state/{files.proposals.name}")
    if is_new:
        _add(archive, plan, files.logs, f"state/{files.logs.name}", content=False)
        _add(archive, plan, files.state, "state", content=False)


def _add(archive: tarfile.TarFile, plan: DockerPlan, path: Path, name: str, *, content: bool = True) -> None:
    """Add ``path``, as the bottle's user's. Links stay links; a special file is left out."""

    def owned(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        packed: Any = archive
        packed.inodes.clear()  # a second name of a file is a file too
        if not (entry.isreg() or entry.isdir() or entry.issym()):
            return None
        entry.uid, entry.gid = plan.user
        entry.uname = entry.gname = ""
        return entry

    archive.add(os.path.realpath(path), name, recursive=content, filter=owned)


def _put(engine: Engine, plan: DockerPlan, target: str, fill: Callable[[tarfile.TarFile], object]) -> None:
    with tempfile.TemporaryFile(dir=plan.spec.files.state) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, dereference=False) as archive:
            fill(archive)
        packed.seek(0)
        with engine.translated("bring the bottle's files there"):
            engine.api.put_archive(names.porter_container(plan.spec.identity), target, _pieces(packed))


def _pieces(stream: Any) -> Iterator[bytes]:
    while data := stream.read(_CHUNK):
        yield data
