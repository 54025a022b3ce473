"""A Messages API that answers from a script, behind TLS with an authority of its own."""

from __future__ import annotations

import json
import secrets
import ssl
import tempfile
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sidecars import ca

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

HOST = "api.anthropic.com"
MODEL = "claude-fake"


def _tool_use_id() -> str:
    """Return a new id: a second use of the same one counts as answered."""
    return f"toolu_{secrets.token_hex(8)}"


@dataclass(frozen=True)
class Text:
    """An answer in words: the end of a turn."""

    text: str

    stop_reason = "end_turn"

    def block(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"type": "text", "text": ""}, {"type": "text_delta", "text": self.text}


@dataclass(frozen=True)
class ToolUse:
    """An answer that makes the agent call one of its tools, such as ``Bash`` with ``{"command": ...}``."""

    name: str
    input: dict[str, Any]

    stop_reason = "tool_use"

    def block(self) -> tuple[dict[str, Any], dict[str, Any]]:
        start = {"type": "tool_use", "id": _tool_use_id(), "name": self.name, "input": {}}
        return start, {"type": "input_json_delta", "partial_json": json.dumps(self.input)}


type Answer = Text | ToolUse
type Responder = Callable[[ApiRequest], Answer]


@dataclass(frozen=True)
class ApiRequest:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    raw: bytes = field(repr=False)

    @property
    def body(self) -> dict[str, Any]:
        value = json.loads(self.raw or b"{}")
        return value if isinstance(value, dict) else {}

    @property
    def is_turn(self) -> bool:
        """Whether this is the agent at work, rather than it asking for a title and the like."""
        return self.path.startswith("/v1/messages") and bool(self.body.get("tools"))

    def texts(self, role: str) -> list[str]:
        """Return the plain text blocks of all messages of ``role``, in order."""
        return [
            text
            for message in self.body.get("messages", [])
            if message["role"] == role
            for text in _texts(message["content"])
        ]


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for block in content:
            if block.get("type") == "text":
                yield block["text"]
            elif block.get("type") == "tool_result":
                yield from _texts(block.get("content"))


class FakeApi:
    """Listens at ``place``, an address of this machine, and keeps every request.

    It answers turns from ``script``, then with ``otherwise``.
    """

    def __init__(self, directory: Path, place: str = "127.0.0.1") -> None:
        self._place = place
        self.ca_file = directory / "api-ca.pem"
        self.requests: list[ApiRequest] = []
        self.otherwise: Responder = lambda _request: Text("Done.")
        self._script: deque[Answer] = deque()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((place, 0), _handler(self))
        self._server.daemon_threads = True
        self._server.socket = _context(self.ca_file).wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        """Where it listens, for a route's ``upstream``."""
        return f"{self._place}:{self._server.server_port}"

    def script(self, answers: Iterable[Answer]) -> None:
        """Answer the next turns with ``answers``, in place of what is left of an earlier script."""
        with self._lock:
            self._script = deque(answers)

    def turns(self) -> list[ApiRequest]:
        """Return the requests of the agent at work, in order of arrival."""
        return [request for request in list(self.requests) if request.is_turn]

    def answer(self, request: ApiRequest) -> Answer:
        """Return the answer to ``request``, which is kept."""
        with self._lock:
            self.requests.append(request)
            if not request.is_turn:
                return Text('{"title": "a task"}')
            return self._script.popleft() if self._script else self.otherwise(request)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def _handler(api: FakeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = ApiRequest("POST", self.path, headers, raw)
            answer = api.answer(request)
            if not self.path.startswith("/v1/messages?") and self.path != "/v1/messages":
                self._send(404, "application/json", _error("not_found_error"))
            elif request.body.get("stream"):
                self._send(200, "text/event-stream", _events(answer))
            else:
                self._send(200, "application/json", json.dumps(_message(answer)).encode())

        def do_GET(self) -> None:
            api.answer(ApiRequest("GET", self.path, {k.lower(): v for k, v in self.headers.items()}, b""))
            self._send(404, "application/json", _error("not_found_error"))

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.send_header("request-id", "req_fake")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    return Handler


def _error(kind: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": kind}}).encode()


def _message(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, Text):
        content: dict[str, Any] = {"type": "text", "text": answer.text}
    else:
        content = {"type": "tool_use", "id": _tool_use_id(), "name": answer.name, "input": answer.input}
    return {**_envelope(), "content": [content], "stop_reason": answer.stop_reason}


def _envelope() -> dict[str, Any]:
    return {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def _events(answer: Answer) -> bytes:
    start, delta = answer.block()
    ending = {
        "delta": {"stop_reason": answer.stop_reason, "stop_sequence": None},
        "usage": {"output_tokens": 1},
    }
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": _envelope()},
        {"type": "content_block_start", "index": 0, "content_block": start},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", **ending},
        {"type": "message_stop"},
    ]
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def _context(ca_file: Path) -> ssl.SSLContext:
    """Return a server context for :data:`HOST`, and write the authority that vouches for it to ``ca_file``."""
    key_pem, certificate = ca.make_ca("fake API")
    ca_file.write_bytes(certificate)
    key = ca.new_key()
    issuer_key: Any = load_pem_private_key(key_pem, None)
    issued = ca.issue(HOST, key.public_key(), x509.load_pem_x509_certificate(certificate), issuer_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.write(issued.public_bytes(Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
    return context
