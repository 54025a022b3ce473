"""Directories, free space, manifests, and sockets nobody listens on."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError
from bottlemux.lifecycle.checks.model import Check
from bottlemux.lifecycle.cleaning import stale_sockets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bottlemux.lifecycle.context import Context

MIN_FREE_BYTES = 1 << 30
_GIB = 1 << 30
_SHOWN = 3
_EDIT = "edit the file at that line; bottlemux help manifest"


def check_directories(context: Context) -> Iterator[Check]:
    """Look: are the directories ours alone, writable, and with room."""
    for name in ("config", "state", "runtime"):
        path: Path = getattr(context.paths, name)
        nearest = next(parent for parent in (path, *path.parents) if parent.exists())
        yield judge_directory(
            name,
            path,
            writable=os.access(nearest, os.W_OK),
            mode=stat.S_IMODE(path.stat().st_mode) if path.exists() else None,
            free=shutil.disk_usage(nearest).free,
        )


def check_settings(context: Context) -> Iterator[Check]:
    """Look: can ``config.toml`` be read."""
    from bottlemux.manifest.config import load_config

    source = context.paths.config_file
    try:
        load_config(context.paths)
    except BottlemuxError as error:
        yield Check("settings", "error", _listed([error.message, *error.also]), _EDIT)
    else:
        yield Check(
            "settings", "ok", str(source) if source.exists() else f"the defaults: there is no {source}"
        )


def judge_directory(name: str, path: Path, *, writable: bool, mode: int | None, free: int) -> Check:
    """Say whether a directory will do; ``mode`` is ``None`` where it is yet to be made."""
    if not writable:
        return Check(name, "error", f"{path} is not writable", f"sudo chown -R $USER {path}")
    if mode is not None and mode & 0o077:
        return Check(name, "warning", f"{path} is open to others", f"chmod 700 {path}")
    if free < MIN_FREE_BYTES:
        return Check(
            name,
            "warning",
            f"only {free / _GIB:.1f} GiB free at {path}",
            "bottlemux cleanup, or free some space",
        )
    return Check(name, "ok", f"{path}, {free / _GIB:.0f} GiB free")


def check_manifests(context: Context) -> Iterator[Check]:
    """Look: does everything load that can be started from here."""
    from bottlemux.manifest.loader import list_agents, resolve

    problems: list[str] = []
    agents = list_agents(context.paths, context.cwd)
    for name in agents:
        try:
            resolve(context.paths, name, context.cwd)
        except BottlemuxError as error:
            problems += [error.message, *error.also]
    yield judge_manifests(len(agents), problems)


def judge_manifests(count: int, problems: Sequence[str]) -> Check:
    """Say whether ``count`` agents and what they refer to can be read."""
    if not problems:
        return Check("manifests", "ok", f"{count} of {count} agents can be read")
    return Check("manifests", "error", _listed(list(dict.fromkeys(problems))), _EDIT)


def _listed(problems: Sequence[str]) -> str:
    more = len(problems) - _SHOWN
    return "\n".join([*problems[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])


def check_sockets(context: Context) -> Iterator[Check]:
    """Look: did a crash leave sockets that nobody listens on."""
    yield judge_sockets(context.paths.runtime, list(stale_sockets(context.paths.runtime)))


def judge_sockets(runtime: Path, stale: Sequence[Path]) -> Check:
    """Say which sockets are left over."""
    if not stale:
        return Check("sockets", "ok", "none is left over")
    names = ", ".join(str(path.relative_to(runtime)) for path in stale[:_SHOWN])
    more = ", ..." if len(stale) > _SHOWN else ""
    return Check("sockets", "warning", f"nobody listens on {names}{more} in {runtime}", "bottlemux cleanup")
