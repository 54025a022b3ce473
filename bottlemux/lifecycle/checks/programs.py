"""The programs that bottlemux starts, and what they need from the person."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from backends.presets import PRESETS
from bottlemux.lifecycle.checks.model import Check

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bottlemux.lifecycle.context import Context

_TOKENS = ("CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_API_KEY")


def check_python(_context: Context) -> Iterator[Check]:
    """Look: which Python is this."""
    yield Check("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")


def check_claude(context: Context) -> Iterator[Check]:
    """Look: can Claude Code be started, and log in."""
    yield from judge_claude(shutil.which("claude"), context.environ)


def judge_claude(found: str | None, environ: Mapping[str, str]) -> Iterator[Check]:
    """Say whether Claude Code is there (``found`` is its path) and has a token in ``environ``."""
    if found is None:
        yield Check("claude code", "warning", "not installed", PRESETS["claude"].install)
        return
    yield Check("claude code", "ok", found)
    if not any(environ.get(name) for name in _TOKENS):
        fix = "claude setup-token, then export CLAUDE_CODE_OAUTH_TOKEN"
        yield Check("claude token", "warning", "CLAUDE_CODE_OAUTH_TOKEN is not set", fix)


def check_others(_context: Context) -> Iterator[Check]:
    """Look: which other agents that bottlemux knows are here."""
    yield judge_others([name for name in PRESETS if name != "claude" and shutil.which(name)])


def judge_others(found: list[str]) -> Check:
    """Say which agents besides Claude Code are installed."""
    return Check("other agents", "ok", ", ".join(found) or "none installed of those with a preset")
