"""Where an engine is: its address, by context name, without importing the engine's library."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bottlemux.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = "unix:///var/run/docker.sock"


def find_endpoint(context: str = "", environ: Mapping[str, str] | None = None) -> str:
    """Return the address of the engine of ``context``, by default of the one that the docker command would use."""
    env = os.environ if environ is None else environ
    if not context and env.get("DOCKER_HOST"):
        return env["DOCKER_HOST"]
    home = Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME") or Path.home()) / ".docker")
    name = context or env.get("DOCKER_CONTEXT") or _current(home)
    return DEFAULT if name == "default" else _of_context(home, name)


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
        value: object = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}
