"""One bottle's supervise: on sockets that are already bound, until cancelled.

The protocol's library takes half a second and some 30 MiB to load, which neither a start nor a bottle that never asks
should pay: connections wait in the listener's queue until it is loaded, by the first of them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from sidecars.supervise.spec import SuperviseSpec

LATER = ("httpx", "jsonschema", "anyio", "starlette.responses", "uvicorn", "mcp.types", "sidecars.supervise.tools",
         "sidecars.supervise.web")  # fmt: skip
"""What serving needs and is too slow to load before a bottle starts, in steps that are short."""


def preload() -> None:
    """Import what every bottle's service needs at once. Starts no thread or loop."""
    from sidecars.supervise import desk

    assert desk  # noqa: S101 - imported for its effect


async def serve(
    spec: SuperviseSpec, listeners: Sequence[socket.socket], *, on_ready: Callable[[], None]
) -> None:
    """Serve the bottle on ``listeners`` until cancelled; ``on_ready`` is called at once, for they listen already."""
    on_ready()
    await _first_connection(listeners)
    from sidecars.supervise import tools, web
    from sidecars.supervise.desk import Desk
    from sidecars.supervise.reports import Reports

    desk = Desk(spec)
    try:
        await web.run(tools.make_server(spec, desk), Reports(spec.activity_file), listeners)
    finally:
        desk.close()


async def _first_connection(listeners: Sequence[socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    for listener in listeners:
        listener.setblocking(False)
        loop.add_reader(listener, arrived.set)
    try:
        await arrived.wait()
    finally:
        for listener in listeners:
            loop.remove_reader(listener)
