"""Watching the agent's side of a WebSocket frame by frame, before anything of it is relayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from wsproto.frame_protocol import FrameProtocol, ParseFailed

if TYPE_CHECKING:
    from collections.abc import Iterator


class FrameError(ValueError):
    """The bytes are no WebSocket frames."""


class MessageTooLargeError(ValueError):
    """A message, all its fragments together, is over the limit."""


class AgentFrames:
    """Follows the frames of one WebSocket. Whole messages are judged elsewhere, control frames' payloads here."""

    def __init__(self, max_message_bytes: int) -> None:
        self._protocol = FrameProtocol(client=False, extensions=[])
        self._limit = max_message_bytes
        self._size = 0
        self.held = 0
        """Bytes of the message that is not complete yet, or was completed by the last call of :meth:`feed`."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the payloads of pings, pongs and closes in ``data``.

        Raises :class:`FrameError`, or :class:`MessageTooLargeError` as soon as a message grows over the limit.
        """
        self.held = self._size
        try:
            self._protocol.receive_bytes(data)
            for frame in self._protocol.received_frames():
                payload = frame.payload
                if frame.opcode.iscontrol():
                    yield _control_payload(payload)
                    continue
                self._size += len(payload)
                self.held = self._size
                if self._size > self._limit:
                    raise MessageTooLargeError
                if frame.message_finished:
                    self._size = 0
        except ParseFailed as error:
            raise FrameError from error


def _control_payload(payload: object) -> bytes:
    """Return the payload of a ping or pong; a close has been taken apart, and its reason is what can carry text."""
    if isinstance(payload, tuple):
        reason = cast("tuple[int, str | None]", payload)[1]
        return (reason or "").encode()
    return bytes(cast("bytes", payload))
