"""A sidecar that does nothing, for tests of what it is started with."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence


async def serve(_spec: object, _listeners: Sequence[socket.socket], *, on_ready: Callable[[], None]) -> None:
    """Say that it serves, and wait for its end."""
    on_ready()
    await asyncio.Event().wait()
