"""What git's receive-pack prints, passed on only once it is known that the gate was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecars.git_gate.refusal import Reason, Refused
from sidecars.git_gate.response import ClientGoneError

if TYPE_CHECKING:
    from sidecars.git_gate.response import Response


class PushOutput:
    """What receive-pack prints, held back until the hook has asked: what was not checked is not believed."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self._held = bytearray()
        self._gone = False
        self._believed = True

    async def take(self, data: bytes, *, asked: bool) -> None:
        """Pass on or hold back ``data``."""
        self._held += data
        if asked:
            await self._flush()

    def judge_unasked(self) -> Refused | None:
        """Return why the push was refused by git itself; None when it held nothing."""
        if not self._held:
            return None
        if b"ok refs/" in self._held:
            self._believed = False
            return Refused("scanner-failed", "git accepted a push without asking the gate")
        return Refused(_own_reason(bytes(self._held)), "git refused the objects of the push")

    async def finish(self) -> None:
        """Complete the answer; one that is not believed is broken off instead."""
        if not self._believed:
            raise ClientGoneError
        await self._flush()
        if not self._gone:
            await self._response.finish()

    async def _flush(self) -> None:
        data = bytes(self._held)
        self._held.clear()
        try:
            if not self._gone:
                await self._response.send(data)
        except ClientGoneError:
            self._gone = True


def _own_reason(output: bytes) -> Reason:
    if b"exceeds maximum allowed size" in output:
        return "too-large"
    return "fsck" if b"fsck" in output or b"unpack" in output else "protocol"
