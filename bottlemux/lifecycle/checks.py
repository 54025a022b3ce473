"""What bottlemux needs of a machine, checked one by one, each with the command that mends it."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bottlemux.errors import BottlemuxError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bottlemux.lifecycle.context import Context

type Level = Literal["ok", "warning", "error"]

_EXTRA_CAS = Path("/usr/local/share/ca-certificates")
_MIN_FREE_BYTES = 1 << 30


@dataclass(frozen=True)
class Check:
    """One finding. ``fix`` is the command or step that mends it; empty where nothing is to be done."""

    name: str
    level: Level
    detail: str
    fix: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the finding as JSON-ready values."""
        return asdict(self)


def run_checks(context: Context) -> list[Check]:
    """Return every finding about this machine; a check that itself fails is a finding, not an error."""
    found: list[Check] = []
    for check in (_python, _tmux, _locale, _backends, _limits, _directories, _claude, _company_proxy):
        try:
            found += check(context)
        except (BottlemuxError, OSError) as error:
            found.append(Check(check.__name__.lstrip("_"), "error", str(error)))
    return found


def _python(_context: Context) -> Iterator[Check]:
    yield Check("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")


def _tmux(context: Context) -> Iterator[Check]:
    if shutil.which("tmux") is None:
        yield Check("tmux", "error", "not installed", "sudo apt-get install tmux")
        return
    server = context.workspace.server
    server.require_version()
    running = "a server runs" if server.is_running() else "no server runs yet"
    yield Check("tmux", "ok", f"{running} at {server.socket_path}")


def _locale(context: Context) -> Iterator[Check]:
    value = next(
        (context.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if context.environ.get(name)), ""
    )
    if "utf-8" in value.lower().replace("utf8", "utf-8"):
        yield Check("locale", "ok", value)
    else:
        yield Check("locale", "warning", f"{value or 'unset'} is not UTF-8", "export LANG=C.UTF-8")


def _backends(context: Context) -> Iterator[Check]:
    from backends.registry import get_bottle_backend, known_backend_names

    for name in known_backend_names():
        availability = get_bottle_backend(name, paths=context.paths).is_available()
        if availability:
            yield Check(f"backend {name}", "ok", "bottles run here")
        else:
            yield Check(f"backend {name}", "warning", availability.reason, availability.hint)


def _limits(_context: Context) -> Iterator[Check]:
    from backends.bubblewrap.limits import Wanted, find_groups

    missing = find_groups().missing(Wanted(cpus=1, memory=1, pids=1))
    if missing:
        fix = "log in through systemd with delegated control groups, or run as root"
        yield Check("limits", "warning", f"no control groups for {', '.join(missing)}", fix)
    else:
        yield Check("limits", "ok", "CPU, memory and processes of a bottle can be limited")


def _directories(context: Context) -> Iterator[Check]:
    for name in ("config", "state", "runtime"):
        path: Path = getattr(context.paths, name)
        nearest = next(parent for parent in (path, *path.parents) if parent.exists())
        if not os.access(nearest, os.W_OK):
            yield Check(name, "error", f"{nearest} is not writable", f"sudo chown -R $USER {nearest}")
        elif path.exists() and path.stat().st_mode & 0o077:
            yield Check(name, "warning", f"{path} is open to others", f"chmod 700 {path}")
        elif shutil.disk_usage(nearest).free < _MIN_FREE_BYTES:
            yield Check(name, "warning", f"less than 1 GiB is free at {nearest}", "free some space")
        else:
            yield Check(name, "ok", str(path))


def _claude(context: Context) -> Iterator[Check]:
    found = shutil.which("claude")
    if found is None:
        yield Check("claude code", "warning", "not installed", "npm install -g @anthropic-ai/claude-code")
        return
    yield Check("claude code", "ok", found)
    if not context.environ.get("CLAUDE_CODE_OAUTH_TOKEN") and not context.environ.get("ANTHROPIC_API_KEY"):
        fix = "claude setup-token, then export CLAUDE_CODE_OAUTH_TOKEN"
        yield Check("claude token", "warning", "CLAUDE_CODE_OAUTH_TOKEN is not set", fix)


def _company_proxy(context: Context) -> Iterator[Check]:
    extra = sorted(path.name for path in _EXTRA_CAS.glob("*.crt"))
    if extra:
        yield Check(
            "extra CAs", "ok", f"this machine trusts {', '.join(extra)}; egress uses the system's trust"
        )
    proxies = [name for name in ("HTTPS_PROXY", "https_proxy") if context.environ.get(name)]
    if proxies:
        fix = "egress connects directly: allow this machine to reach the routes' hosts"
        yield Check("proxy", "warning", f"{proxies[0]} is set, and egress does not use it", fix)


def worst(checks: list[Check]) -> Level:
    """Return the gravest level among ``checks``."""
    levels = {check.level for check in checks}
    if "error" in levels:
        return "error"
    return "warning" if "warning" in levels else "ok"
