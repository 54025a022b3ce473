"""Bottles of an engine elsewhere that this machine does not hold, and what such an engine keeps of ended ones."""

from __future__ import annotations

import contextlib
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.contract import ActiveAgent
from backends.docker import linking, names
from backends.docker.endpoint import check_known, context_of, is_elsewhere
from backends.docker.engine import Engine
from backends.docker.leftovers import whole_bottles
from backends.host_files import held_lock
from bottlemux.errors import BottlemuxError, NotFoundError, UnavailableError
from bottlemux.identity import agent_of
from bottlemux.state.liveness import may_run_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bottlemux.paths import BottlePaths, Paths


_PATIENCE_S = 20


def is_process(pid: int | None, identity: str) -> bool:
    """Say whether ``pid`` is process 1 of the bottle's container: it has the identity as its last argument."""
    if not pid:
        return False
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return command.rstrip(b"\0").split(b"\0")[-1] == identity.encode()


def runs(engine: Engine, identity: str) -> bool:
    """Ask the engine whether both containers of the bottle run."""
    return identity in whole_bottles(engine.containers({names.SLUG_LABEL: identity}))


def engine_of(files: BottlePaths) -> Engine | None:
    """Return the engine elsewhere that the bottle was launched on; ``None`` for any other bottle."""
    try:
        endpoint = files.engine.read_text("utf-8")
    except OSError:
        return None
    return Engine(endpoint) if is_elsewhere(endpoint) else None


def recover(paths: Paths, identity: str) -> bool:
    """Link a bottle again that runs elsewhere, and say so; of one that does not, what is left there is removed."""
    from backends.docker.removal import remove

    files = paths.bottle(identity)
    engine = engine_of(files) if may_run_elsewhere(files) else None
    if engine is None:
        return False
    with held_lock(files) as lock:
        if not runs(engine, identity):
            remove(engine, identity)
            linking.end(files)
            return False
        linking.start(files, identity, engine.endpoint, lock)
    return True


def discard(paths: Paths, identity: str) -> None:
    """Remove all that an engine elsewhere has of a bottle. Where its context is gone, nobody can be asked to."""
    from backends.docker.removal import remove

    files = paths.bottle(identity)
    engine = engine_of(files)
    if engine is None:
        return
    with contextlib.suppress(NotFoundError):
        check_known(engine.endpoint)
        remove(engine, identity)
        engine.remove_volume(names.kept_volume(identity))
    linking.end(files)
    files.engine.unlink(missing_ok=True)


def bring_back(paths: Paths, identity: str, *directories: str) -> None:
    """Bring ``directories`` of the bottle's state (``workspace``, ``home``) here as they are, if they are elsewhere."""
    from backends.docker import fetching, images

    files = paths.bottle(identity)
    engine = engine_of(files)
    if engine is None:
        return
    if not engine.has_volume(names.kept_volume(identity)):
        raise NotFoundError(
            f"the engine has no working copy of {identity} any more",
            hint=f"its last state that was here is in {files.workspace}",
        )
    image = images.ensure(
        engine, images.own_source(names.SIDECARS), lambda line: sys.stderr.write(f"{line}\n")
    )
    owner = names.owner(paths, elsewhere=True)
    for name in directories:
        fetching.bring_back(engine, identity, owner, image, name, files.state / name)


def release(paths: Paths, identity: str) -> None:
    """Bring all of an ended bottle here that another backend needs, then remove it from its engine elsewhere."""
    bring_back(paths, identity, "workspace", "home")
    discard(paths, identity)


def enumerate_unheld(paths: Paths, slugs: Sequence[str]) -> Iterator[ActiveAgent]:
    """Yield those of ``slugs`` that run on their engines, each asked once; the silent ones are raised at the end."""
    by_endpoint: dict[str, list[str]] = {}
    for slug in slugs:
        if (engine := engine_of(paths.bottle(slug))) is not None:
            by_endpoint.setdefault(engine.endpoint, []).append(slug)
    silent: list[BottlemuxError] = []

    def ask(endpoint: str) -> list[dict[str, Any]]:
        try:
            with contextlib.closing(Engine(endpoint, timeout=_PATIENCE_S)) as engine:
                return engine.containers({names.ROLE_LABEL: names.AGENT}, everything=False)
        except BottlemuxError as error:
            silent.append(error)
            return []

    with ThreadPoolExecutor(max(1, len(by_endpoint))) as pool:
        for endpoint, found in zip(by_endpoint, pool.map(ask, by_endpoint), strict=True):
            for item in found:
                if (slug := item["Labels"].get(names.SLUG_LABEL)) in by_endpoint[endpoint]:
                    yield _unheld(endpoint, slug, item)
    if silent:
        raise UnavailableError("; ".join(error.message for error in silent), hint=silent[0].hint)


def _unheld(endpoint: str, slug: str, container: dict[str, Any]) -> ActiveAgent:
    since = datetime.fromtimestamp(float(container["Created"]), UTC).isoformat(timespec="seconds")
    started = since.replace("+00:00", "Z")
    return ActiveAgent(f"docker@{context_of(endpoint)}", slug, agent_of(slug), started, ())
