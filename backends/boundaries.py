"""Which directories may become a workspace: none through which an agent would reach its own keepers.

A mounted directory is writable by the agent, and a socket in it answers the agent as if it were the operator. So the
home directory, the sockets of tmux, of an ssh agent or of bottlemux itself must never lie in one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from backends.contract import BottleSpec

_SYSTEM = ("/boot", "/dev", "/etc", "/proc", "/sys")
_SYSTEM_PARENTS = ("/bin", "/lib", "/opt", "/run", "/sbin", "/srv", "/usr", "/var")


def check_directory(spec: BottleSpec) -> None:
    """Raise ``UsageError`` unless the bottle's directory can be its workspace in the mode that is asked for."""
    from backends.workspace import is_repository

    if not spec.directory.is_dir():
        raise UsageError(f"{str(spec.directory)!r} is not a directory", topic="workspace")
    check_workspace(spec)
    if not os.access(spec.directory, os.R_OK | os.X_OK):
        raise UsageError(
            f"you may not read {str(spec.directory)!r}",
            hint="start in a directory of yours: --cwd DIR",
            topic="workspace",
        )
    if spec.workspace == "mount" and not os.access(spec.directory, os.W_OK):
        raise UsageError(
            f"you may not write in {str(spec.directory)!r}, so an agent could not work in it",
            hint="give the agent a copy of its own: --workspace copy",
            topic="workspace",
        )
    if spec.workspace == "clone" and not spec.resumed and not is_repository(spec.directory):
        raise UsageError(
            f"{str(spec.directory)!r} is not the top of a git repository, so it cannot be cloned",
            hint="give the agent the directory itself or a copy: --workspace mount, --workspace copy",
            topic="workspace",
        )


def check_workspace(spec: BottleSpec, environ: Mapping[str, str] | None = None) -> None:
    """Raise ``UsageError`` when the agent would get more than a project by the workspace of ``spec``.

    A clone holds only what is committed, so any repository can be cloned.
    """
    if spec.workspace == "clone":
        return
    directory = spec.directory.resolve()
    for what, path in _kept(spec, os.environ if environ is None else environ):
        if path.is_relative_to(directory):
            raise _refusal(spec, f"holds {what}" if path != directory else f"is {what}")
    code = Path(__file__).resolve().parents[1]
    if spec.workspace == "mount" and (directory.is_relative_to(code) or code.is_relative_to(directory)):
        raise UsageError(
            f"{str(spec.directory)!r} holds the code of bottlemux itself, which an agent must not change",
            hint="give the agent a clone of its own: --workspace clone",
            topic="workspace",
        )
    for path in [*(path for _what, path in _own(spec)), *map(Path, _SYSTEM)]:
        if directory.is_relative_to(path):
            raise _refusal(spec, f"lies in {str(path)!r}")


def _refusal(spec: BottleSpec, reason: str) -> UsageError:
    return UsageError(
        f"{str(spec.directory)!r} {reason}, so an agent cannot have it as its workspace",
        hint="start it in a project's directory: --cwd DIR",
        topic="workspace",
    )


def _kept(spec: BottleSpec, environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """Yield what no workspace may hold: a description and a path."""
    yield "your home directory", _resolved(environ.get("HOME") or str(Path.home()))
    yield from ((f"bottlemux's {what} directory", path) for what, path in _own(spec))
    yield from (("a system directory", Path(name)) for name in (*_SYSTEM, *_SYSTEM_PARENTS))
    yield "the sockets of tmux", _resolved(f"{environ.get('TMUX_TMPDIR') or '/tmp'}/tmux-{os.getuid()}")  # noqa: S108
    for name, what in (("XDG_RUNTIME_DIR", "your session's sockets"), ("SSH_AUTH_SOCK", "your ssh agent")):
        if environ.get(name):
            yield what, _resolved(environ[name])


def _own(spec: BottleSpec) -> tuple[tuple[str, Path], ...]:
    paths = spec.paths
    found = {"config": paths.config, "state": paths.state, "runtime": paths.runtime}
    return tuple((name, path.resolve()) for name, path in found.items())


def _resolved(path: str) -> Path:
    return Path(path).resolve()
