"""What a test needs of the machine, by marker: it is skipped with the reason, or fails where CI requires it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_CACHED_CLAUDE = Path(__file__).parents[1] / ".cache" / "claude-code" / "node_modules" / ".bin"
_PROBE_TIMEOUT_S = 20
_BWRAP_PROBE = ("bwrap", "--unshare-all", "--ro-bind", "/", "/", "true")


def _works(*argv: str) -> str:
    """Return why ``argv`` does not succeed here; empty when it does."""
    if shutil.which(argv[0]) is None:
        return f"{argv[0]} is not installed"
    try:
        done = subprocess.run(argv, capture_output=True, timeout=_PROBE_TIMEOUT_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return f"{argv[0]} does not answer"
    return "" if done.returncode == 0 else f"{argv[0]} does not work: {done.stderr.decode().strip()[-200:]}"


def find_sshd() -> str | None:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _smolvm() -> str:
    """Return why the program smolvm is not here; empty when it is."""
    from backends.smolmachines import tool
    from bottlemux.errors import UnavailableError

    try:
        tool.find()
    except UnavailableError as error:
        return error.message
    return ""


def _machines() -> str:
    """Return why no microVM boots here, as far as a look can tell; empty where one should."""
    from backends.registry import get_bottle_backend

    return get_bottle_backend("smolmachines").is_available().reason


_PROBES: dict[str, Callable[[], str]] = {
    "tmux": lambda: _works("tmux", "-V"),
    "bwrap": lambda: _works(*_BWRAP_PROBE),
    "docker": lambda: _works("docker", "info"),
    "sshd": lambda: "" if find_sshd() else "sshd is not installed",
    "claude": lambda: _works("claude", "--version"),
    "smolvm": _smolvm,
    "kvm": _machines,
}


@functools.cache
def _why_not(need: str) -> str:
    return _PROBES[need]()


def pytest_configure(config: pytest.Config) -> None:
    """Put the Claude Code that ``scripts/test`` installed before any other."""
    if _CACHED_CLAUDE.is_dir():
        os.environ["PATH"] = f"{_CACHED_CLAUDE}{os.pathsep}{os.environ['PATH']}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run; fail instead when ``BOTTLEMUX_REQUIRE`` names the marker."""
    required = os.environ.get("BOTTLEMUX_REQUIRE", "").split()
    for need in _PROBES:
        if item.get_closest_marker(need) is None or not (reason := _why_not(need)):
            continue
        if need in required:
            pytest.fail(f"{need} is required here, and {reason}", pytrace=False)
        pytest.skip(reason)
