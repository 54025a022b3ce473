"""Tells supervise what the agent's program does. A hook of the program runs it with its event on standard input.

Standard library only: it runs in the bottle's Python, whatever version that is. It says nothing, ends with 0 and within
a moment whatever goes wrong: a hook must neither stop the agent nor keep it waiting.
"""

import contextlib
import json
import os
import re
import socket
import sys

ADDRESS = ("supervise", 9100)
TIMEOUT_S = 0.3
_MAX_EVENT_BYTES = 32 * 1024 * 1024
# What tells sorts of one event apart: why a session began or ended, which notice, what was compacted and why it failed.
_DETAILS = ("notification_type", "source", "trigger", "error")


def main() -> None:
    """Report one event."""
    with contextlib.suppress(Exception):
        _send(json.dumps(reduced(json.loads(sys.stdin.buffer.read(_MAX_EVENT_BYTES)))).encode())
    # At once: what is left to clean up is the kernel's.
    os._exit(0)


def reduced(event: "dict[str, object]") -> "dict[str, object]":
    """Return what supervise is told of a hook's event: words, no text and no values."""
    details = [event[name] for name in _DETAILS if event.get(name)]
    if event.get("background_tasks"):
        details.append("background")
    pid = os.environ.get("CLAUDE_PID", "")
    return {
        "event": event.get("hook_event_name"),
        "session": _word(event.get("session_id")),
        "agent": _word(event.get("agent_id")),
        "tool": _word(event.get("tool_name")),
        "detail": _word(details[0] if details else ""),
        "pid": int(pid) if pid.isdigit() else 0,
        "attended": os.environ.get("CLAUDE_CODE_SESSION_ATTENDED") != "0",
    }


def _word(value: object) -> str:
    """Return ``value`` as supervise takes a word: of harmless characters, and short."""
    text = re.sub(r"[^A-Za-z0-9_.:-]", "_", value if isinstance(value, str) else "")[:64]
    return text.lstrip("_.:-")


def _send(body: bytes) -> None:
    head = (
        "POST /report HTTP/1.1\r\nHost: supervise:9100\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(ADDRESS, timeout=TIMEOUT_S) as connection:
        connection.sendall(head.encode() + body)
        # It is in the server's queue now; its answer only tells that the next one will find it done.
        connection.recv(64)


if __name__ == "__main__":
    main()
