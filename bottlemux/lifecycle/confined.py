"""Running git over an agent's files in a throw-away sandbox.

A working copy decides what git does there: configuration, filters, hooks, diff drivers, links. So git sees it in a
sandbox with no network, no credential, and nothing of this machine but its programs and the named directories. What
comes out is data.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from bottlemux.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

WORK = "/work"
_MAX_FILE_KIB = 4 * 1024 * 1024
_ENVIRON = {
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PROTOCOL": "version=2",
    "GIT_TERMINAL_PROMPT": "0",
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
}


def confined_argv(
    script: str,
    *arguments: str,
    readable: Iterable[tuple[Path, str]],
    writable: Sequence[tuple[Path, str]] = (),
) -> list[str]:
    """Return what runs the shell ``script`` with ``arguments`` in a sandbox that ends with its parent.

    It sees the directories ``readable`` and ``writable``, each at its second name, and works in ``/work``.
    """
    limited = f"ulimit -f {_MAX_FILE_KIB * 2}; {script}"
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return _container_argv(limited, arguments, readable, writable)
    from backends.bubblewrap.sandbox import system_view

    options = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    options += ["--uid", "1000", "--gid", "1000", "--tmpfs", "/", "--proc", "/proc", "--dev", "/dev"]
    options += [word for name, value in _ENVIRON.items() for word in ("--setenv", name, value)]
    mounts, links = system_view()
    options += [word for target, link in links for word in ("--symlink", target, link)]
    options += [word for mount in mounts for word in ("--ro-bind", mount.source, mount.target)]
    options += ["--tmpfs", "/tmp"]  # noqa: S108 - inside the sandbox
    options += [word for source, target in readable for word in ("--ro-bind", str(source), target)]
    options += [word for source, target in writable for word in ("--bind", str(source), target)]
    return [bwrap, *options, "--chdir", WORK, "--", "/bin/sh", "-ec", limited, "sh", *arguments]


def _container_argv(
    script: str,
    arguments: Iterable[str],
    readable: Iterable[tuple[Path, str]],
    writable: Iterable[tuple[Path, str]],
) -> list[str]:
    """Return the same for a machine with an engine and without bubblewrap."""
    from backends.docker import throwaway

    mounts = [*((*one, False) for one in readable), *((*one, True) for one in writable)]
    try:
        return throwaway.argv(script, *arguments, environ=_ENVIRON, work=WORK, mounts=mounts)
    except UnavailableError as error:
        raise UnavailableError(
            f"an agent's files are looked at in a sandbox only: bwrap is not installed, and {error.message}",
            hint="sudo apt-get install bubblewrap",
        ) from error
