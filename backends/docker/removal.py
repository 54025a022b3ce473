"""Ends a bottle's containers and network on an engine.

On this machine without the engine's library: importing that takes as long as ending a bottle.
"""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

from backends.docker import names
from backends.docker.endpoint import socket_path
from backends.docker.engine import STOP_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backends.docker.engine import Engine

_TIMEOUT_S = 60.0
_GONE = 404
_DONE = 204
_STOPPED = {_DONE, 304, _GONE}


def remove(engine: Engine, identity: str, before_sidecars: Callable[[], object] = lambda: None) -> None:
    """Remove the containers and the network of a bottle, and what its launch brought elsewhere. Idempotent.

    The agent's programs are told to end and may take a moment; until then the sidecars run and hold the bottle's lock.
    ``before_sidecars`` is called when the agent elsewhere has ended and its sidecars have not.
    """
    if engine.is_elsewhere:
        _remove_elsewhere(engine, identity, before_sidecars)
    elif not _remove_by_socket(socket_path(engine.endpoint), identity):
        _remove_by_library(engine, identity)


def _remove_by_socket(path: Path, identity: str) -> bool:
    """Return whether all is gone; what came in between is for the library to try again and to explain.

    The network goes while the sidecars are still ending: they are taken off it first.
    """
    agent, sidecars = names.agent_container(identity), names.sidecars_container(identity)
    network = f"/networks/{names.network(identity)}"
    off = json.dumps({"Container": sidecars, "Force": True})
    _stop(path, agent)
    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(_remove, path, agent), pool.submit(_kill_and_remove, path, sidecars)]
        _ask(path, "POST", f"{network}/disconnect", off)
        codes = [_ask(path, "DELETE", network), *(end.result() for end in ends)]
    if codes[0] not in {_DONE, _GONE}:
        codes[0] = _ask(path, "DELETE", network)
    return set(codes) <= {_DONE, _GONE}


def _stop(path: Path, container: str) -> None:
    """Return when nothing runs in it any more, unless the engine cannot even kill."""
    if _ask(path, "POST", f"/containers/{container}/stop?t={STOP_TIMEOUT_S}") not in _STOPPED:
        _ask(path, "POST", f"/containers/{container}/kill")


def _kill_and_remove(path: Path, container: str) -> int:
    _ask(path, "POST", f"/containers/{container}/kill")
    return _remove(path, container)


def _remove(path: Path, container: str) -> int:
    return _ask(path, "DELETE", f"/containers/{container}?force=1&v=1")


def _ask(path: Path, method: str, what: str, body: str = "") -> int:
    connection = _Connection(path)
    try:
        connection.request(method, what, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()


class _Connection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(str(self._path))


def _remove_by_library(engine: Engine, identity: str) -> None:
    _end_agent(engine, identity)
    engine.remove_container(names.sidecars_container(identity))
    engine.remove_network(names.network(identity))


def _remove_elsewhere(engine: Engine, identity: str, before_sidecars: Callable[[], object]) -> None:
    """Go one after the other: a connection more takes longer."""
    _end_agent(engine, identity)
    before_sidecars()
    engine.remove_container(names.sidecars_container(identity))
    engine.remove_container(names.porter_container(identity))
    engine.remove_volume(names.brought_volume(identity))
    engine.remove_network(names.network(identity))


def _end_agent(engine: Engine, identity: str) -> None:
    container = names.agent_container(identity)
    engine.stop_container(container)
    engine.remove_container(container)
