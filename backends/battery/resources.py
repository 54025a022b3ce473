"""Floods. They disturb their own bottle; nothing else may notice."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from .case import Broken, Skipped, Table, Targets

TABLE = Table("resources")
_MORE_THAN_ANY_LIMIT = 20_000
_CONNECTIONS = 1500
_CHUNK = 1 << 20


@TABLE.case("forks", "start processes without end", "bounded", rough=True)
def _forks(_: Targets) -> str:
    children: list[int] = []
    try:
        while len(children) < _MORE_THAN_ANY_LIMIT:
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            children.append(child)
    except OSError as error:
        outcome = f"{len(children)} processes, then {error.strerror}"
    else:
        outcome = ""
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)
    if not outcome:
        raise Broken(f"{_MORE_THAN_ANY_LIMIT} processes and no end")
    return outcome


@TABLE.case("memory", "allocate more than the bottle has", "killed, or refused", rough=True)
def _memory(_: Targets) -> str:
    child = os.fork()
    if child == 0:
        _allocate(int(os.environ.get("BATTERY_BYTES", "0")))
    if not os.environ.get("BATTERY_BYTES"):
        raise Skipped("no limit was named")
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        raise Broken("all of it was had")
    return f"ended with {os.waitstatus_to_exitcode(status)}"


def _allocate(count: int) -> None:
    try:
        kept = [bytearray(b"x" * _CHUNK) for _ in range(count // _CHUNK)]
    except MemoryError:
        os._exit(2)
    os._exit(0 if kept else 3)


@TABLE.case("files", "fill temporary directories", "no space left", rough=True)
def _fill(_: Targets) -> str:
    bound = int(os.environ.get("BATTERY_BYTES", "0"))
    if not bound:
        raise Skipped("no limit was named")
    path = Path("/tmp/.battery-fill")  # noqa: S108 - inside the bottle
    written = 0
    try:
        with path.open("wb", buffering=0) as stream:
            while written < bound:
                written += stream.write(bytes(_CHUNK))
    except OSError as error:
        return f"{written >> 20} MiB, then {error.strerror}"
    finally:
        path.unlink()
    raise Broken(f"{written >> 20} MiB and no end")


@TABLE.case("descriptors", "open files without end", "bounded", rough=True)
def _open_files(_: Targets) -> str:
    kept: list[int] = []
    try:
        while len(kept) < 2_000_000:
            kept.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        return f"{len(kept)}, then {error.strerror}"
    raise Broken("two million files and no end")


@TABLE.case("connections", "open connections to the proxy without end", "it goes on serving", rough=True)
def _connections(_: Targets) -> str:
    kept: list[socket.socket] = []
    try:
        for _index in range(_CONNECTIONS):
            kept.append(socket.create_connection(("egress", 3128), timeout=2))
            kept[-1].sendall(b"GET http://example.com/ HTTP/1.1\r\n")
    except OSError as error:
        return f"{len(kept)}, then {error}"
    return f"{len(kept)} held open"
