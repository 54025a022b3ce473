"""What the benchmarks of egress share: an upstream, egress, plain mitmproxy (a process each), and a client."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecars import ca

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST = "127.0.0.1"
TOKEN = "token-of-the-benchmark-0123456789"  # no real one
BLOCK = 256 * 1024
_spawn = multiprocessing.get_context("spawn")


@dataclass
class Part:
    """A process that listens on ``port``."""

    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads so far."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def memory(self, field: str) -> int:
        """Return ``VmRSS`` or ``VmHWM`` in KiB."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))

    def pss(self) -> int:
        """Return the proportional set size in KiB."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

    def forget_peak(self) -> None:
        """Let ``VmHWM`` begin anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


@contextlib.contextmanager
def _process(target: Callable[..., None], *args: object) -> Iterator[Part]:
    mine, theirs = _spawn.Pipe()
    process = _spawn.Process(target=target, args=(theirs, *args), daemon=True)
    process.start()
    theirs.close()
    try:
        port = mine.recv()
        assert process.pid is not None
        yield Part(process.pid, port)
    finally:
        process.kill()
        process.join()


# -- the upstream ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def upstream(directory: Path) -> Iterator[Part]:
    """Run an HTTPS server for ``HOST``; its authority is ``upstream-ca.pem`` in ``directory``."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    key_pem, cert_pem = ca.make_ca("benchmark authority")
    (directory / "upstream-ca.pem").write_bytes(cert_pem)
    key = ca.new_key()
    issuer: Any = serialization.load_pem_private_key(key_pem, None)
    leaf = ca.issue(HOST, key.public_key(), x509.load_pem_x509_certificate(cert_pem), issuer)
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "leaf.pem").write_bytes(private + leaf.public_bytes(encoding))
    with _process(_serve_upstream, str(directory / "leaf.pem")) as part:
        yield part


def _serve_upstream(parent: Any, chain: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    listener = socket.create_server((HOST, 0))
    parent.send(listener.getsockname()[1])
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_serve_one, args=(connection, context), daemon=True).start()


def _serve_one(connection: socket.socket, context: ssl.SSLContext) -> None:
    block = b"x" * BLOCK
    with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as stream:
        reader = stream.makefile("rb")
        while line := reader.readline():
            length = 0
            while (header := reader.readline()) not in {b"\r\n", b""}:
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            while length:
                length -= len(reader.read(min(length, BLOCK)))
            path = line.split()[1].decode()
            if path.startswith("/download/"):
                blocks = int(path.rpartition("/")[2])
                stream.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: {blocks * BLOCK}\r\n\r\n".encode())
                for _ in range(blocks):
                    stream.sendall(block)
            elif path == "/stream":
                head = (
                    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                )
                stream.sendall(head.encode())
                stream.sendall(b"10\r\ndata: message 1\n\r\n")
                stream.sendall(b"0\r\n\r\n")
            else:
                stream.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


# -- the proxies -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def egress(directory: Path, server: Part) -> Iterator[Part]:
    """Run the way out as a bottle has it: policy, credential, scan and audit. ``/upload`` is not scanned."""
    with _process(_serve_egress, str(directory), server.port) as part:
        yield part


def _serve_egress(parent: Any, directory: str, port: int) -> None:
    from sidecars import outbound
    from sidecars.egress.routes import Route, RouteSet
    from sidecars.egress.spec import EgressSpec
    from sidecars.secrets import SecretSource

    # As the process that bottles' sidecars are forked from does it.
    outbound.preload()
    gc.collect()
    gc.freeze()
    home = Path(directory)
    key, cert = ca.make_ca("bottle of the benchmark")
    (home / "egress-ca.pem").write_bytes(cert)
    common: dict[str, Any] = {
        "host": HOST, "port": port, "allow_private": True, "upstream_ca": str(home / "upstream-ca.pem"),
    }  # fmt: skip
    routes = (
        Route(**common, paths=("/upload",), pipelock="off"),
        Route(**common, methods=("GET", "POST"), paths=("/",), token_ref="TOKEN"),
    )
    (home / "routes.json").write_text(RouteSet(routes=routes).dump())
    spec = EgressSpec(
        slug="bench-00000",
        routes_file=home / "routes.json",
        secrets={"TOKEN": SecretSource(value=TOKEN)},
        ca_key_pem=key,
        ca_cert_pem=cert,
        audit_file=home / "audit.jsonl",
    )
    listener = socket.create_server((HOST, 0))
    address = listener.getsockname()[1]
    asyncio.run(outbound.serve(spec, [listener], on_ready=lambda: parent.send(address)))


@contextlib.contextmanager
def plain_mitmproxy(directory: Path) -> Iterator[Part]:
    """Run mitmproxy with an addon that does nothing; large bodies stream."""
    with _process(_serve_mitmproxy, str(directory)) as part:
        yield part


def _serve_mitmproxy(parent: Any, directory: str) -> None:
    from mitmproxy import options
    from mitmproxy.tools.dump import DumpMaster

    class Empty:
        def running(self) -> None:
            parent.send(master.addons.get("proxyserver").listen_addrs()[0][1])

    async def serve() -> None:
        nonlocal master
        master = DumpMaster(
            options.Options(listen_host=HOST, listen_port=0, confdir=directory),
            with_termlog=False,
            with_dumper=False,
        )
        master.addons.add(Empty())
        master.options.update(
            ssl_verify_upstream_trusted_ca=f"{directory}/upstream-ca.pem",
            connection_strategy="lazy",
            stream_large_bodies="1m",
        )
        await master.run()

    master: Any = None
    asyncio.run(serve())


# -- the client --------------------------------------------------------------------------------------------------


class Client:
    """One kept connection to the upstream, through ``proxy`` or direct."""

    def __init__(self, directory: Path, server: Part, proxy: Part | None, authority: str) -> None:
        connection = socket.create_connection((HOST, (proxy or server).port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if proxy is not None:
            target = f"{HOST}:{server.port}"
            connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
            answer = connection.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200"), answer
        context = ssl.create_default_context(cafile=str(directory / authority))
        self.stream = context.wrap_socket(connection, server_hostname=HOST)
        self._host = f"{HOST}:{server.port}"

    def close(self) -> None:
        self.stream.close()

    def head(self, method: str, path: str, length: int) -> bytes:
        return (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nAccept: */*\r\nUser-Agent: benchmark\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        ).encode()

    def post(self, path: str, body: bytes) -> None:
        """Send a request with a body and read its answer."""
        self.stream.sendall(self.head("POST", path, len(body)) + body)
        self.expect(b"\r\n\r\nok")

    def expect(self, end: bytes) -> None:
        seen = b""
        while not seen.endswith(end):
            data = self.stream.recv(65536)
            assert data, seen
            seen += data
        assert seen.startswith(b"HTTP/1.1 200"), seen

    def download(self, blocks: int) -> float:
        """Return the seconds that ``blocks`` took."""
        start = time.perf_counter()
        self.stream.sendall(self.head("GET", f"/download/{blocks}", 0))
        seen = b""
        while b"\r\n\r\n" not in seen:
            seen += self.stream.recv(65536)
        assert seen.startswith(b"HTTP/1.1 200"), seen
        left = blocks * BLOCK - len(seen.partition(b"\r\n\r\n")[2])
        buffer = bytearray(BLOCK)
        while left:
            left -= self.stream.recv_into(buffer)
        return time.perf_counter() - start

    def upload(self, blocks: int) -> float:
        """Return the seconds that ``blocks`` took."""
        block = b"y" * BLOCK
        start = time.perf_counter()
        self.stream.sendall(self.head("POST", "/upload", blocks * BLOCK))
        for _ in range(blocks):
            self.stream.sendall(block)
        self.expect(b"\r\n\r\nok")
        return time.perf_counter() - start

    def first_event(self) -> float:
        """Return the seconds from a request to the first event of its answer."""
        start = time.perf_counter()
        self.stream.sendall(self.head("POST", "/stream", 2) + b"{}")
        seen = b""
        while b"data: message 1\n" not in seen:
            seen += self.stream.recv(65536)
        taken = time.perf_counter() - start
        while not seen.endswith(b"0\r\n\r\n"):
            seen += self.stream.recv(65536)
        return taken
