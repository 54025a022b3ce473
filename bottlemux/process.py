"""The one seam through which bottlemux runs other programs to completion."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DEFAULT_TIMEOUT_S = 30.0

# Variables a child may need that are no secret. A program that needs another names it where it is started.
_PLAIN_VARIABLES = frozenset(
    {
        "BOTTLEMUX_BACKEND", "BOTTLEMUX_CONFIG_DIR", "BOTTLEMUX_STATE_DIR", "BOTTLEMUX_TMUX_SOCKET",
        "COLORTERM", "DOCKER_CONTEXT", "DOCKER_HOST", "HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL",
        "TERM", "TMPDIR", "TMUX_TMPDIR", "TZ", "USER", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME",
    }
)  # fmt: skip


def scrubbed_environ(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return only the variables that are known to be plain, so that no secret is inherited."""
    source = os.environ if environ is None else environ
    return {
        name: value for name, value in source.items() if name in _PLAIN_VARIABLES or name.startswith("LC_")
    }


def run(
    argv: Sequence[str],
    *,
    timeout: float = DEFAULT_TIMEOUT_S,
    stdin: bytes | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run ``argv`` without a shell and return what it printed; its exit code is the caller's to judge.

    ``env`` replaces the environment (default: :func:`scrubbed_environ`). A missing program is an
    :class:`UnavailableError`, more than ``timeout`` seconds a :class:`BottlemuxError`.
    """
    try:
        return subprocess.run(
            list(argv),
            input=stdin or b"",
            capture_output=True,
            timeout=timeout,
            cwd=cwd,
            env=scrubbed_environ() if env is None else dict(env),
            check=False,
        )
    except FileNotFoundError as error:
        raise UnavailableError(f"cannot run {argv[0]!r}: {error.strerror}") from error
    except PermissionError as error:
        raise UnavailableError(f"cannot run {argv[0]!r}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise BottlemuxError(f"{argv[0]!r} did not end within {timeout:g} s") from error
