"""The Docker backend: bottles as containers of an engine that runs on this machine, or elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

ANY = "any"

if TYPE_CHECKING:
    from backends.docker.backend import DockerBackend
    from bottlemux.paths import Paths


def create(paths: Paths, context: str = "") -> DockerBackend:
    """Return the backend, working in ``paths`` on the engine of the Docker ``context`` (default: the current one).

    ``any`` is no context, but whichever engine of those that ``config.toml`` names is the least loaded.
    """
    from backends.docker.backend import DockerBackend

    if context == ANY:
        from backends.docker.anywhere import AnyDockerBackend

        return AnyDockerBackend(paths, context)
    return DockerBackend(paths, context)
