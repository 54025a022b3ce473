"""What a zygote's child runs in tests."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from sidecars import ipc

if TYPE_CHECKING:
    import socket


def answer(connection: socket.socket, message: dict[str, object], descriptors: list[int]) -> None:
    """Answer with the process's identity, or end in the way that ``message`` asks for."""
    match message.get("way"):
        case "raise":
            raise RuntimeError("on purpose")
        case "exit":
            raise SystemExit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
    ipc.send(
        connection,
        {
            "pid": os.getpid(),
            "session": os.getsid(0),
            "descriptors": len(descriptors),
            "umask": os.umask(0),
            "ignored": [n for n in (1, 2, 3, 15) if signal.getsignal(n) == signal.SIG_IGN],
            "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        },
    )
    if message.get("way") == "stay":
        signal.pause()
