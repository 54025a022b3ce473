"""Where an engine is, without importing the engine's library.

An endpoint is the address of a socket of this machine (``unix://``), or it is elsewhere: ``context://NAME`` is what the
Docker context of that name says (ssh or TLS), anything else an address as ``DOCKER_HOST`` has it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

from bottlemux.errors import UsageError, unknown_name
from bottlemux.files import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = "unix:///var/run/docker.sock"
_CONTEXT = "context://"
_LOCAL = "unix://"
_CLIENT_VARIABLES = (
    "DOCKER_CERT_PATH", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "HOME", "PATH", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR",
)  # fmt: skip


def is_elsewhere(endpoint: str) -> bool:
    """Say whether the engine is reached over a network, so that it sees no file of this machine."""
    return not endpoint.startswith(_LOCAL)


def client_argv(endpoint: str, *words: str) -> list[str]:
    """Return the command line of the engine's own client; how to log in there is the context's, never in here."""
    context = endpoint.removeprefix(_CONTEXT)
    return ["docker", *(("--host", endpoint) if context == endpoint else ("--context", context)), *words]


def login_variables() -> dict[str, str]:
    """Return where this process finds contexts and keys: places, no secrets. A pane's own tmux may not know them."""
    return {name: os.environ[name] for name in ("DOCKER_CONFIG", "SSH_AUTH_SOCK") if name in os.environ}


def client_environ() -> dict[str, str]:
    """Return the variables that the client and ssh need, and no other of this process's."""
    return {name: os.environ[name] for name in _CLIENT_VARIABLES if name in os.environ}


def socket_path(endpoint: str) -> Path:
    """Return the socket of an engine of this machine."""
    return Path(unquote(urlsplit(endpoint).path))


def context_of(endpoint: str) -> str:
    """Return the context's name, or the address where there is none."""
    return endpoint.removeprefix(_CONTEXT)


def described(endpoint: str) -> str:
    """Return how a person calls the engine."""
    context = endpoint.removeprefix(_CONTEXT)
    return f"at {endpoint}" if context == endpoint else f"of the context {context!r}"


def find_endpoint(context: str = "", environ: Mapping[str, str] | None = None) -> str:
    """Return the endpoint of ``context``, by default the one that the docker command would use."""
    env = os.environ if environ is None else environ
    if not context and env.get("DOCKER_HOST"):
        return env["DOCKER_HOST"]
    home = Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME") or Path.home()) / ".docker")
    name = context or env.get("DOCKER_CONTEXT") or _current(home)
    address = DEFAULT if name == "default" else _of_context(home, name)
    return f"{_CONTEXT}{name}" if is_elsewhere(address) else address


def check_known(endpoint: str) -> None:
    """Raise ``NotFoundError`` for a context that there is not, or not any more."""
    if endpoint.startswith(_CONTEXT):
        find_endpoint(context_of(endpoint))


def _current(home: Path) -> str:
    return str(_read(home / "config.json").get("currentContext") or "default")


def _of_context(home: Path, name: str) -> str:
    metadata = home / "contexts" / "meta"
    record = _read(metadata / hashlib.sha256(name.encode()).hexdigest() / "meta.json")
    if not record:
        known = [str(_read(path).get("Name")) for path in metadata.glob("*/meta.json")]
        raise unknown_name("Docker context", name, ["default", *known], hint="docker context ls")
    try:
        endpoints = cast("dict[str, dict[str, object]]", record["Endpoints"])
        return str(endpoints["docker"]["Host"])
    except (KeyError, TypeError) as error:
        raise UsageError(f"the Docker context {name!r} names no engine") from error


def _read(path: Path) -> dict[str, object]:
    try:
        value = read_json(path)
    except (OSError, ValueError):
        return {}
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}
