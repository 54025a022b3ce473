"""Real parts for tests of egress: a TLS upstream with an authority of its own, a raw client, a running proxy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidecars import ca
from sidecars.egress.routes import Route, RouteSet
from sidecars.egress.service import serve
from sidecars.egress.spec import EgressSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from sidecars.egress.scan import ContentScanner
    from sidecars.secrets import SecretSource

DEADLINE_S = 30.0

type Handler = Callable[["UpstreamRequest", Callable[[bytes], None]], None]


def wait_until(condition: Callable[[], object], *, timeout: float = DEADLINE_S) -> None:
    """Poll until ``condition`` holds; fail after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "condition did not hold in time"
        time.sleep(0.005)


@dataclass
class UpstreamRequest:
    """A request as the upstream saw it, byte by byte."""

    raw: bytes
    body: bytes

    @property
    def line(self) -> str:
        return self.raw.split(b"\r\n", 1)[0].decode()

    @property
    def headers(self) -> list[tuple[str, str]]:
        lines = self.raw.split(b"\r\n\r\n", 1)[0].decode("latin-1").split("\r\n")[1:]
        return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


def plain_response(body: bytes = b"ok", headers: Mapping[str, str] | None = None, status: int = 200) -> bytes:
    extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{extra}\r\n".encode() + body


class Upstream:
    """A server at ``place`` that records every connection and byte; TLS for ``hosts`` unless they are empty."""

    def __init__(
        self,
        directory: Path,
        *hosts: str,
        ca_pair: tuple[bytes, bytes] | None = None,
        place: str = "127.0.0.1",
    ) -> None:
        self.ca_file = directory / "upstream-ca.pem"
        self.requests: list[UpstreamRequest] = []
        self.connections = 0
        self.bytes_received = 0
        self.handler: Handler = lambda _request, send: send(plain_response())
        self.keep_bodies = True
        self.unread: frozenset[str] = frozenset()
        """The methods whose bodies it takes for the next request."""
        self.greeting = b""
        self._context = self._make_context(directory, hosts, ca_pair) if hosts else None
        self._place = place
        self._listener = socket.create_server((place, 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"{self._place}:{self.port}"

    def _make_context(
        self, directory: Path, hosts: tuple[str, ...], ca_pair: tuple[bytes, bytes] | None
    ) -> ssl.SSLContext:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
            load_pem_private_key,
        )

        key_pem, cert_pem = ca_pair or ca.make_ca("upstream test authority")
        self.ca_file.write_bytes(cert_pem)
        key = ca.new_key()
        issuer_key: Any = load_pem_private_key(key_pem, None)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf = ca.issue(hosts[0], key.public_key(), x509.load_pem_x509_certificate(cert_pem), issuer_key)
        chain = directory / f"leaf-{hosts[0]}.pem"
        chain.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + leaf.public_bytes(Encoding.PEM)
        )
        context.load_cert_chain(chain)
        return context

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._sockets.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            stream = self._context.wrap_socket(connection, server_side=True) if self._context else connection
            self._sockets.append(stream)
            if self.greeting:
                stream.sendall(self.greeting)
            buffer = bytearray()
            with stream:
                while self._serve_one(stream, buffer):
                    pass

    def _read(self, stream: socket.socket, buffer: bytearray) -> bool:
        data = stream.recv(65536)
        self.bytes_received += len(data)
        buffer += data
        return bool(data)

    def _read_more(self, stream: socket.socket, buffer: bytearray) -> None:
        if not self._read(stream, buffer):
            raise ConnectionError("the request is incomplete")

    def _serve_one(self, stream: socket.socket, buffer: bytearray) -> bool:
        while (end := buffer.find(b"\r\n\r\n")) < 0:
            if not self._read(stream, buffer):
                return False
        raw = bytes(buffer[: end + 4])
        del buffer[: end + 4]
        request = UpstreamRequest(raw, b"")
        if request.line.partition(" ")[0] not in self.unread:
            request.body = self._read_body(request, stream, buffer)
        self.requests.append(request)
        self.handler(request, stream.sendall)
        return True

    def _read_body(self, request: UpstreamRequest, stream: socket.socket, buffer: bytearray) -> bytes:
        body = bytearray()
        if request.header("transfer-encoding"):
            while True:
                while b"\r\n" not in buffer:
                    self._read_more(stream, buffer)
                line, _, rest = bytes(buffer).partition(b"\r\n")
                size = int(line, 16)
                buffer[:] = rest
                while len(buffer) < size + 2:
                    self._read_more(stream, buffer)
                body += buffer[:size] if self.keep_bodies else b""
                del buffer[: size + 2]
                if size == 0:
                    return bytes(body)
        left = int((request.header("content-length") or ["0"])[0])
        while left:
            if not buffer:
                self._read_more(stream, buffer)
            part = buffer[:left]
            left -= len(part)
            del buffer[: len(part)]
            if self.keep_bodies:
                body += part
        return bytes(body)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


@dataclass
class Answer:
    """A response as the client got it."""

    status: int
    headers: dict[str, str]
    body: bytes
    raw_head: bytes = b""

    @property
    def reason(self) -> str:
        return self.headers.get("x-bottlemux-block", "")

    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


class Client:
    """A raw client of the proxy: sends any bytes, reads HTTP answers."""

    def __init__(self, proxy: Proxy, *, timeout: float = DEADLINE_S) -> None:
        self.proxy = proxy
        self.socket: socket.socket = proxy.connect()
        self.socket.settimeout(timeout)
        self._buffer = bytearray()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes | str) -> None:
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def connect(self, authority: str) -> Answer:
        """Send CONNECT and return its answer."""
        self.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")
        return self.read(method="CONNECT")

    def tunnel(self, host: str, port: int = 443, *, sni: str | None = "") -> None:
        """CONNECT and do the handshake; ``sni`` is the host unless given, none if ``None``."""
        answer = self.connect(f"{host}:{port}")
        assert answer.status == 200, answer
        name = host if sni == "" else sni
        context = ssl.create_default_context(cadata=self.proxy.ca_cert.decode())
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.check_hostname = name == host
        self.socket = context.wrap_socket(self.socket, server_hostname=name)

    def request(
        self,
        method: str,
        target: str,
        host: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send a request and return its answer."""
        extra = dict(headers or {})
        if body is not None and not any(name.lower() == "transfer-encoding" for name in extra):
            extra["Content-Length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in extra.items())
        self.send(
            f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode("latin-1") + (body or b"")
        )
        return self.read(method=method)

    def read_some(self) -> bytes:
        """Return the next bytes, ``b""`` at the end of the connection."""
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            return data
        try:
            return self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    def _more(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return False
        self._buffer += data
        return bool(data)

    def read_head(self) -> Answer:
        """Read up to the end of an answer's head."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            assert self._more(), f"connection ended, got {bytes(self._buffer)!r}"
        head = bytes(self._buffer[: end + 4])
        del self._buffer[: end + 4]
        lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:] if line)
        return Answer(int(lines[0].split()[1]), {n.lower(): v.strip() for n, _, v in pairs}, b"", head)

    def read(self, *, method: str = "GET") -> Answer:
        """Read one whole answer, but for those that only say to go on."""
        answer = self.read_head()
        while answer.status == 100:
            answer = self.read_head()
        if method == "HEAD" or answer.status in {204, 304} or (method == "CONNECT" and answer.status == 200):
            return answer
        if answer.headers.get("transfer-encoding") == "chunked":
            answer.body = self._read_chunks()
        elif "content-length" in answer.headers:
            size = int(answer.headers["content-length"])
            while len(self._buffer) < size:
                assert self._more(), "the body is incomplete"
            answer.body = bytes(self._buffer[:size])
            del self._buffer[:size]
        else:
            while self._more():
                pass
            answer.body = bytes(self._buffer)
            self._buffer.clear()
        return answer

    def _read_chunks(self) -> bytes:
        body = bytearray()
        while True:
            while b"\r\n" not in self._buffer:
                assert self._more()
            line, _, rest = bytes(self._buffer).partition(b"\r\n")
            size = int(line, 16)
            self._buffer[:] = rest
            while len(self._buffer) < size + 2:
                assert self._more()
            body += self._buffer[:size]
            del self._buffer[: size + 2]
            if size == 0:
                return bytes(body)

    def at_end(self) -> bool:
        """Whether the proxy closed the connection and sent nothing more."""
        return not self._buffer and self.read_some() == b""


@dataclass
class Proxy:
    """A running egress in a thread of its own."""

    directory: Path
    address: tuple[str, int] | str
    ca_cert: bytes
    routes_file: Path
    audit_file: Path
    _stop: Callable[[], None]

    def connect(self) -> socket.socket:
        if isinstance(self.address, str):
            client = socket.socket(socket.AF_UNIX)
            client.connect(self.address)
            return client
        return socket.create_connection(self.address)

    def client(self) -> Client:
        return Client(self)

    def audit(self) -> list[dict[str, Any]]:
        if not self.audit_file.exists():
            return []
        return [json.loads(line) for line in self.audit_file.read_text().splitlines()]

    def set_routes(self, *routes: Route) -> None:
        temporary = self.routes_file.with_suffix(".new")
        temporary.write_text(RouteSet(routes=routes).dump())
        temporary.replace(self.routes_file)

    def stop(self) -> None:
        self._stop()


@contextlib.contextmanager
def running_proxy(
    directory: Path,
    *routes: Route,
    secrets: Mapping[str, SecretSource] | None = None,
    scanner: ContentScanner | None = None,
    unix: bool = False,
    **options: Any,
) -> Iterator[Proxy]:
    """Run egress with ``routes`` in a thread; ``options`` go to :class:`EgressSpec`."""
    key, cert = ca.make_ca("bottle test authority")
    routes_file = directory / "routes.json"
    routes_file.write_text(RouteSet(routes=routes).dump())
    spec = EgressSpec(
        slug="test-00000",
        routes_file=routes_file,
        secrets=secrets or {},
        ca_key_pem=key,
        ca_cert_pem=cert,
        audit_file=options.pop("audit_file", directory / "audit.jsonl"),
        **options,
    )
    if unix:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(directory / "egress.sock"))
        listener.listen()
    else:
        listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    ready = threading.Event()
    state: dict[str, Any] = {}

    async def run() -> None:
        state["loop"] = asyncio.get_running_loop()
        state["task"] = asyncio.current_task()
        with contextlib.suppress(asyncio.CancelledError):
            await serve(spec, [listener], on_ready=ready.set, scanner=scanner)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(DEADLINE_S), "egress did not start"

    def stop() -> None:
        state["loop"].call_soon_threadsafe(state["task"].cancel)
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), "egress did not end"

    try:
        yield Proxy(directory, address, cert, routes_file, spec.audit_file, stop)
    finally:
        if thread.is_alive():
            stop()
