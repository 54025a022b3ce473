"""The hook that ties git receive-pack to the gate, and the gate's end of the conversation."""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sidecars.git_gate import relay
from sidecars.git_gate.children import read_all
from sidecars.git_gate.refusal import Refused, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

FD_VARIABLE = "GIT_GATE_FD"
_MAX_QUESTION = 1024 * 1024


def install_hook(hooks: Path) -> None:
    """Write the pre-receive hook into the private directory ``hooks``, and nothing else there."""
    hooks.mkdir(mode=0o700, exist_ok=True)
    script = hooks / "pre-receive"
    command = shlex.join([sys.executable, "-I", "-S", str(Path(relay.__file__))])
    script.write_text(f"#!/bin/sh\nexec {command}\n")
    script.chmod(0o700)


@dataclass(frozen=True)
class Question:
    """What git asks before it accepts a push. ``quarantine`` holds the new objects; empty: there are none."""

    quarantine: str
    updates: list[bytes]


class Conversation:
    """The gate's end of one hook's socket; ``git receive-pack`` and its hook inherit the other end."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._writer: asyncio.StreamWriter | None = None

    @property
    def inherited(self) -> int:
        """The descriptor for the child."""
        return self._theirs.fileno()

    async def hear(self) -> Question | None:
        """Return the question, or None when git ended without asking. To be called after git has started."""
        self._theirs.close()
        reader, self._writer = await asyncio.open_connection(sock=self._ours)
        text = await read_all(reader, _MAX_QUESTION)
        if not text:
            return None
        quarantine, *updates = text.removesuffix(b"\n").split(b"\n")
        if len(text) > _MAX_QUESTION:
            raise Refused("protocol", "the push cannot be understood")
        return Question(os.fsdecode(quarantine), updates)

    async def say(self, lines: Iterable[str]) -> None:
        """Show lines at the agent's terminal."""
        await self._send(b"".join(relay.SAY + printable(line).encode() + b"\n" for line in lines))

    async def accept(self) -> None:
        """Let git accept the push; everything short of this refuses it."""
        await self._send(relay.ACCEPT)

    async def _send(self, data: bytes) -> None:
        if self._writer is not None and data:
            self._writer.write(data)
            await self._writer.drain()

    def close(self) -> None:
        """End the conversation; without :meth:`accept` the push is refused. Safe to call twice."""
        self._theirs.close()
        if self._writer is not None:
            self._writer.close()
        else:
            self._ours.close()
