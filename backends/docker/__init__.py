"""The Docker backend: bottles as containers of an engine that runs on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends.docker.backend import DockerBackend
    from bottlemux.paths import Paths


def create(paths: Paths, context: str = "") -> DockerBackend:
    """Return the backend, working in ``paths`` on the engine of the Docker ``context`` (default: the current one)."""
    from backends.docker.backend import DockerBackend

    return DockerBackend(paths, context)
