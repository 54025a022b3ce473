"""Where a user's directories are, as plain text: for what has to start before :mod:`bottlemux.paths` is imported."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

AUDIT_LOG = "audit.jsonl"
BOTTLES = "bottles"
CONTROL_SOCKET = "control.sock"


def find_config(environ: Mapping[str, str]) -> str:
    """Return the directory of settings and manifests."""
    return _base(environ, "BOTTLEMUX_CONFIG_DIR", "XDG_CONFIG_HOME", ".config")


def find_state(environ: Mapping[str, str]) -> str:
    """Return the directory of what outlives a bottle's run."""
    return _base(environ, "BOTTLEMUX_STATE_DIR", "XDG_STATE_HOME", ".local/state")


def find_runtime(environ: Mapping[str, str]) -> str:
    """Return the directory of sockets."""
    root = environ.get("XDG_RUNTIME_DIR")
    if root and os.path.isdir(root):  # noqa: PTH112
        return f"{root}/bottlemux"
    return f"{find_state(environ)}/run"


def find_current(environ: Mapping[str, str]) -> str:
    """Return the current directory, or where it was if somebody has removed it: most commands need none."""
    try:
        return os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return environ.get("PWD") or "/"


def control_socket(runtime: str, identity: str) -> str:
    """Return where process 1 of a bottle of this machine takes commands from the host."""
    return f"{runtime}/{identity}/{CONTROL_SOCKET}"


def bottle_state(state: str, identity: str) -> str:
    """Return the directory of what outlives the run of one bottle."""
    return f"{state}/{BOTTLES}/{identity}"


def _base(environ: Mapping[str, str], own: str, xdg: str, fallback: str) -> str:
    if chosen := environ.get(own):
        chosen = os.path.expanduser(chosen)  # noqa: PTH111
        return chosen if chosen.startswith("/") else f"{find_current(environ)}/{chosen}"
    root = environ.get(xdg)
    # The XDG specification: a relative value is to be ignored.
    if not root or not root.startswith("/"):
        root = f"{_home(environ)}/{fallback}"
    return f"{root}/bottlemux"


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111
