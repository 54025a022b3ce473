"""A container of this machine's engine for one script that looks at an agent's files: a sandbox without bubblewrap."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from backends.docker import images, names
from backends.docker.endpoint import client_argv, find_endpoint, is_elsewhere
from bottlemux.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_PROCESSES = 512


def argv(
    script: str,
    *arguments: str,
    environ: Mapping[str, str],
    work: str,
    mounts: Iterable[tuple[Path, str, bool]],
) -> list[str]:
    """Return what runs the shell ``script`` with ``arguments`` in the directory ``work`` of a container.

    It has no network, no privilege and nothing of this machine but ``mounts``: source, target, whether it is writable.
    The image is that of the sidecars, which has git; it is built where it is missing. Raises ``UnavailableError``.
    """
    from backends.docker.engine import Engine

    endpoint = find_endpoint()
    if is_elsewhere(endpoint):
        raise UnavailableError("the engine is elsewhere and does not see this machine's files")
    engine = Engine(endpoint)
    engine.check()
    image = images.ensure(engine, images.own_source(names.SIDECARS), sys.stderr.write)
    options = ["--rm", "--interactive", "--network", "none", "--read-only", "--cap-drop", "ALL", "--init",
               "--security-opt", "no-new-privileges", "--pids-limit", str(_PROCESSES), "--log-driver", "none",
               "--user", f"{os.getuid()}:{os.getgid()}", "--tmpfs", "/tmp", "--workdir", work]  # fmt: skip  # noqa: S108
    options += [word for name, value in environ.items() for word in ("--env", f"{name}={value}")]
    options += [word for mount in mounts for word in ("--mount", _mount(*mount))]
    command = ["--entrypoint", "/bin/sh", image, "-ec", script, "sh", *arguments]
    return client_argv(endpoint, "run", *options, *command)


def _mount(source: Path, target: str, writable: bool) -> str:
    """Return one mount as the client reads it: comma-separated, so a path is quoted."""
    quoted = str(source).replace('"', '""')
    return f'type=bind,"source={quoted}","target={target}"{"" if writable else ",readonly"}'
