"""Streaming, limits, upstream failures, live changes of the policy, WebSocket, scanning."""

from __future__ import annotations

import base64
import hashlib
import pickle
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sidecars import ca
from sidecars.egress.routes import Route, RouteSet
from sidecars.egress.scan import Finding
from sidecars.egress.spec import EgressSpec
from sidecars.secrets import SecretSource
from tests.egress.conftest import HOST, TOKEN
from tests.egress.support import (
    Client,
    Proxy,
    Upstream,
    UpstreamRequest,
    plain_response,
    running_proxy,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def route_to(upstream: Upstream, **changes: object) -> Route:
    values = {"host": HOST, "upstream": upstream.address, "upstream_ca": str(upstream.ca_file)}
    return Route.model_validate({**values, **changes})


@pytest.mark.parametrize("path", ["/open/events", "/v1/events"], ids=["plain route", "credentialed route"])
def test_events_pass_as_they_come(tunnel: Client, upstream: Upstream, path: str) -> None:
    delays: list[float] = []
    sent: list[float] = []

    def handler(_request: UpstreamRequest, send: Callable[[bytes], None]) -> None:
        send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(20):
            event = f"data: {number} r\n\n".encode()
            sent.append(time.monotonic())
            send(b"%x\r\n%s\r\n" % (len(event), event))
            wait_until(lambda number=number: len(delays) > number)
        send(b"0\r\n\r\n")

    upstream.handler = handler
    tunnel.send(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
    tunnel.read_head()
    for number in range(20):
        data = b""
        while b"\n\n" not in data:
            data += tunnel.read_some()
        assert f"data: {number} r".encode() in data
        delays.append(time.monotonic() - sent[number])
    assert sorted(delays)[10] < 0.010


CHILD = """
import asyncio, pickle, resource, socket, sys
from sidecars.egress.service import preload, serve
spec, fd = pickle.load(sys.stdin.buffer)
preload()
listener = socket.socket(fileno=fd)
print(flush=True)
asyncio.run(serve(spec, [listener], on_ready=lambda: print("ready", flush=True)))
"""


def memory(pid: int, field: str) -> int:
    """Return a value of ``/proc/PID/status`` in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise AssertionError(field)


def test_large_transfers_need_constant_memory(tmp_path: Path, upstream: Upstream) -> None:
    key, cert = ca.make_ca("bottle test authority")
    (tmp_path / "routes.json").write_text(RouteSet(routes=(route_to(upstream, token_ref="TOKEN"),)).dump())
    secrets = {"TOKEN": SecretSource(value=TOKEN)}
    spec = EgressSpec("t-00000", tmp_path / "routes.json", secrets, key, cert, tmp_path / "audit.jsonl")
    size = 64 * 1024 * 1024
    block = b"x" * (1024 * 1024)

    def handler(request: UpstreamRequest, send: Callable[[bytes], None]) -> None:
        if request.line.startswith("GET"):
            send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
            for _ in range(size // len(block)):
                send(block)
        else:
            send(plain_response())

    upstream.handler = handler
    upstream.keep_bodies = False
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[fd]
        )
        assert child.stdin
        assert child.stdout
        try:
            child.stdin.write(pickle.dumps((spec, fd)))
            child.stdin.close()
            child.stdout.readline()
            child.stdout.readline()
            proxy = Proxy(
                tmp_path, listener.getsockname(), cert, spec.routes_file, spec.audit_file, lambda: None
            )
            with proxy.client() as client:
                client.tunnel(HOST)
                idle = memory(child.pid, "VmRSS")
                client.send(f"GET /big HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
                client.read_head()
                received = 0
                while received < size:
                    received += len(client.read_some())
                client.send(f"POST /big HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {size}\r\n\r\n")
                for _ in range(size // len(block)):
                    client.send(block)
                assert client.read().status == 200
            assert memory(child.pid, "VmHWM") < idle * 1.3
        finally:
            child.kill()
            child.wait()
            child.stdout.close()


def test_a_slow_reader_does_not_make_the_proxy_buffer(tmp_path: Path, upstream: Upstream) -> None:
    sent = 0

    def handler(_request: UpstreamRequest, send: Callable[[bytes], None]) -> None:
        nonlocal sent
        send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(1000):
            send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            sent += 65536

    upstream.handler = handler
    with running_proxy(tmp_path, route_to(upstream)) as proxy, proxy.client() as client:
        client.tunnel(HOST)
        client.send(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
        client.read_head()
        before = -1
        while sent != before:
            before = sent
            time.sleep(0.2)
        assert sent < 30_000_000


class WordScanner:
    """Finds the word ``forbidden`` anywhere; fails on ``crash``."""

    waits = False

    def __init__(self) -> None:
        self.heads: list[Sequence[tuple[str, str]]] = []

    def _find(self, data: bytes, where: str) -> Finding | None:
        if b"crash" in data:
            raise RuntimeError("scanner crashed over crash")
        return Finding("word", where) if b"forbidden" in data else None

    def scan_head(self, method: str, url: str, headers: Sequence[tuple[str, str]]) -> Finding | None:
        self.heads.append(headers)
        return self._find(f"{method} {url} {headers}".encode(), "head")

    def scan_body(self, body: bytes, content_type: str, content_encoding: str) -> Finding | None:
        return self._find(body, "body")

    def scan_message(self, data: bytes) -> Finding | None:
        return self._find(data, "message")

    def scan_control(self, data: bytes) -> Finding | None:
        return self._find(data, "message")

    def scan_host(self, host: str, wildcard: str) -> Finding | None:
        return self._find(host.encode(), "host")


CHUNKED = {"Transfer-Encoding": "chunked"}
SCANS = [
    ("clean", "block", "/a", {}, b"fine", 200, ""),
    ("body", "block", "/a", {}, b"so forbidden", 403, "dlp"),
    ("url", "block", "/a?q=forbidden", {}, b"", 403, "dlp"),
    ("header", "block", "/a", {"X-A": "forbidden"}, b"", 403, "dlp"),
    ("stripped header", "block", "/a", {"Authorization": "forbidden"}, b"", 200, ""),
    ("warn", "warn", "/a", {}, b"so forbidden", 200, ""),
    ("off", "off", "/a?forbidden", {}, b"so forbidden", 200, ""),
    ("crash in body", "block", "/a", {}, b"crash", 403, "protocol"),
    ("crash in head", "block", "/a?crash", {}, b"", 403, "protocol"),
    ("crash in warn", "warn", "/a", {}, b"crash", 403, "protocol"),
    ("too large", "block", "/a", {}, b"x" * 5000, 403, "too-large"),
    ("chunked too large", "block", "/a", CHUNKED, b"fff\r\n" + b"x" * 4095 + b"\r\n0\r\n\r\n", 403, "too-large"),
    ("too large, off", "off", "/a", {}, b"x" * 5000, 200, ""),
    ("chunked", "block", "/a", CHUNKED, b"4\r\nforb\r\n5\r\nidden\r\n0\r\n\r\n", 403, "dlp"),
]  # fmt: skip


@pytest.mark.parametrize("per_route", [False, True], ids=["bottle's mode", "route's mode"])
@pytest.mark.parametrize(
    ("mode", "target", "headers", "body", "status", "reason"),
    [c[1:] for c in SCANS],
    ids=[c[0] for c in SCANS],
)
def test_scanning_comes_before_credential_and_upstream(
    tmp_path: Path,
    upstream: Upstream,
    mode: str,
    target: str,
    headers: dict[str, str],
    body: bytes,
    status: int,
    reason: str,
    per_route: bool,
) -> None:
    scanner = WordScanner()
    route = route_to(upstream, token_ref="TOKEN", **({"pipelock": mode} if per_route else {}))
    options = {"scan_mode": "off" if per_route and mode != "off" else mode, "max_request_bytes": 4000}
    secrets = {"TOKEN": SecretSource(value=TOKEN)}
    with running_proxy(tmp_path, route, secrets=secrets, scanner=scanner, **options) as proxy:  # noqa: SIM117
        with proxy.client() as client:
            client.tunnel(HOST)
            answer = client.request("POST", target, HOST, headers, body)
            assert (answer.status, answer.reason) == (status, reason)
            assert TOKEN not in str(scanner.heads)
            wait_until(lambda: any(line["decision"] != "warn" for line in proxy.audit()))
            warned = [line for line in proxy.audit() if line["decision"] == "warn"]
            assert len(warned) == (mode == "warn" and b"forbidden" in body)
            assert "forbidden" not in proxy.audit_file.read_text()
    assert len(upstream.requests) == (status == 200)
    assert upstream.connections == (status == 200)


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(
    tmp_path: Path, upstream: Upstream
) -> None:
    with running_proxy(tmp_path, route_to(upstream), scanner=WordScanner(), max_request_bytes=4000) as proxy:  # noqa: SIM117
        with proxy.client() as client:
            client.tunnel(HOST)
            client.send(
                f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4001\r\nExpect: 100-continue\r\n\r\n"
            )
            head = client.read_head()
            assert (head.status, head.reason) == (403, "too-large")
    assert upstream.connections == 0


LFS = [
    (b'{"operation": "download", "objects": []}', {}, 200),
    (b'{"operation": "upload", "objects": []}', {}, 403),
    (b'{"operation": "\\u0075pload"}', {}, 403),
    (b'{"operation": "download", "operation": "upload"}', {}, 403),
    (b"[1]", {}, 403),
    (b"not json", {}, 403),
    (b"", {}, 403),
    (b'{"operation": "download"}', {"Content-Encoding": "gzip"}, 403),
]


@pytest.mark.parametrize(("body", "headers", "status"), LFS, ids=[case[0].decode() for case in LFS])
def test_lfs_uploads_are_told_from_downloads(
    tunnel: Client, upstream: Upstream, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = tunnel.request("POST", "/open/r.git/info/lfs/objects/batch", HOST, headers, body)
    assert answer.status == status
    assert answer.reason == ("" if status == 200 else "git-push")
    assert upstream.connections == (status == 200)


def unused_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def test_upstream_failures_can_be_told_from_blocks(tmp_path: Path, upstream: Upstream) -> None:
    wrong_name = Upstream(tmp_path, "other.example.com")
    plain = Upstream(tmp_path)
    plain.greeting = b"SSH-2.0-server\r\n"
    trusting = {"upstream_ca": str(upstream.ca_file)}
    routes = [
        Route(host="name.example.com", upstream=wrong_name.address, upstream_ca=str(wrong_name.ca_file)),
        Route(host="authority.example.com", upstream=upstream.address),
        Route(host="plain.example.com", upstream=plain.address, **trusting),
        Route(host="closed.example.com", upstream=unused_address(), **trusting),
        Route(host="file.example.com", upstream=upstream.address, upstream_ca=str(tmp_path / "none.pem")),
    ]
    with running_proxy(tmp_path, *routes) as proxy:
        for route in routes:
            for body in (None, b"streamed"):
                with proxy.client() as client:
                    client.tunnel(route.host)
                    answer = client.request("POST", "/", route.host, body=body)
                    assert (answer.status, answer.reason) == (502, ""), route.host
                    assert answer.headers["x-bottlemux-error"] == "upstream"
                    assert answer.json()["host"] == route.host
        wait_until(lambda: len(proxy.audit()) == 10)
        assert {(line["decision"], line["status"]) for line in proxy.audit()} == {("allow", 502)}
    assert upstream.requests == wrong_name.requests == plain.requests == []
    wrong_name.close()
    plain.close()


BROKEN_ANSWERS = {
    "nothing": b"",
    "garbage": b"\x00\x01garbage\r\n\r\n",
    "CL and TE": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "upgrade nobody asked for": b"HTTP/1.1 101 Switching\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\nraw",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",
}


@pytest.mark.parametrize("raw", BROKEN_ANSWERS.values(), ids=BROKEN_ANSWERS.keys())
def test_broken_answers_are_failures(tunnel: Client, upstream: Upstream, raw: bytes) -> None:
    def handler(_request: UpstreamRequest, send: Callable[[bytes], None]) -> None:
        send(raw) if raw else None
        raise ConnectionError("the end")

    upstream.handler = handler
    answer = tunnel.request("GET", "/open/x", HOST)
    assert (answer.status, answer.headers.get("x-bottlemux-error")) == (502, "upstream")
    assert tunnel.at_end()


def test_private_addresses_need_the_routes_leave(tmp_path: Path, upstream: Upstream) -> None:
    trusting = {"upstream_ca": str(upstream.ca_file), "port": upstream.port}
    for host, allow, status in (
        ("localhost", False, 403),
        ("127.0.0.1", False, 403),
        ("localhost", True, 502),
    ):
        with running_proxy(tmp_path, Route(host=host, allow_private=allow, **trusting)) as proxy:  # noqa: SIM117
            with proxy.client() as client:
                client.tunnel(host, upstream.port)
                answer = client.request("GET", "/", f"{host}:{upstream.port}")
                assert (answer.status, answer.reason) == (status, "private-address" if status == 403 else "")
        if status == 403:
            assert upstream.connections == 0


def test_routes_change_live_and_a_broken_file_changes_nothing(
    proxy: Proxy, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    def status(host: str) -> int:
        with proxy.client() as client:
            return client.connect(f"{host}:443").status

    assert (status(HOST), status("new.example.com")) == (200, 403)
    with proxy.client() as kept:
        kept.tunnel(HOST)
        assert kept.request("GET", "/open/x", HOST).status == 200
        started = time.monotonic()
        proxy.set_routes(Route(host="new.example.com"))
        wait_until(lambda: status("new.example.com") == 200)
        assert time.monotonic() - started < 1.0
        assert status(HOST) == 403
        assert kept.request("GET", "/open/x", HOST).reason == "host-not-allowed"
    for broken in ("", "{", '{"routes": [{"host": "*"}]}', '{"routes": [], "more": 1}'):
        warnings = len([line for line in proxy.audit() if line["rule"] == "routes-file"])
        proxy.routes_file.write_text(broken)
        wait_until(lambda: len([x for x in proxy.audit() if x["rule"] == "routes-file"]) > warnings)  # noqa: B023
        assert (status(HOST), status("new.example.com")) == (403, 200)
    proxy.routes_file.unlink()
    proxy.set_routes(Route(host=HOST))
    wait_until(lambda: status(HOST) == 200)


def test_a_transfer_ends_when_its_route_is_taken_away(
    proxy: Proxy, tunnel: Client, upstream: Upstream
) -> None:
    upstream.handler = lambda _request, send: send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nstart")
    tunnel.send(f"GET /open/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
    tunnel.read_head()
    proxy.set_routes(Route(host="new.example.com"))
    while tunnel.read_some():
        pass
    wait_until(lambda: proxy.audit() and proxy.audit()[-1]["rule"] == "routes-changed")


def test_nothing_is_allowed_without_an_audit_log(tmp_path: Path, upstream: Upstream) -> None:
    audit = tmp_path / "gone" / "audit.jsonl"
    with running_proxy(tmp_path, route_to(upstream), audit_file=audit) as proxy:
        with proxy.client() as client:
            client.tunnel(HOST)
            answer = client.request("GET", "/", HOST)
            assert (answer.status, answer.reason) == (403, "protocol")
            assert "audit" in answer.json()["hint"]
        assert upstream.connections == 0
        audit.parent.mkdir()
        with proxy.client() as client:
            client.tunnel(HOST)
            assert client.request("GET", "/", HOST).status == 200
        wait_until(lambda: len(proxy.audit()) == 2)
        assert [line["decision"] for line in proxy.audit()] == ["block", "allow"]


def frame(payload: bytes, *, masked: bool) -> bytes:
    head = bytes([0x81, (0x80 if masked else 0) | len(payload)])
    return head + (b"\0\0\0\0" if masked else b"") + payload


def websocket_upstream(request: UpstreamRequest, send: Callable[[bytes], None]) -> None:
    key = request.header("sec-websocket-key")[0]
    accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
    send(
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + frame(f"hello {TOKEN}".encode(), masked=False)
    )


WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Extensions": "permessage-deflate",
}


def test_websocket_passes_only_where_the_route_says_so(tunnel: Client, upstream: Upstream) -> None:
    upstream.handler = websocket_upstream
    answer = tunnel.request("GET", "/v1/ws", HOST, WEBSOCKET)
    assert (answer.status, answer.reason) == (403, "protocol")
    assert upstream.connections == 0


def masked(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    return bytes([(0x80 if final else 0) | opcode, 0x80 | len(payload)]) + b"\0\0\0\0" + payload


ABUSES = {
    "ping": (masked(9, b"forbidden"), "dlp"),
    "pong": (masked(10, b"forbidden"), "dlp"),
    "close reason": (masked(8, b"\x03\xe8forbidden"), "dlp"),
    "endless message": (
        masked(2, b"x" * 100, final=False) + masked(0, b"x" * 100, final=False) * 40,
        "too-large",
    ),
    "unmasked": (frame(b"fine", masked=False), "protocol"),
    "reserved bits": (bytes([0xF1, 0x80]) + b"\0\0\0\0", "protocol"),
    "unknown opcode": (masked(3, b"x"), "protocol"),
    "crash": (masked(9, b"crash"), "protocol"),
    "no frames at all": (b"GET / HTTP/1.1\r\n\r\n", "protocol"),
}


@pytest.mark.parametrize(("data", "reason"), ABUSES.values(), ids=ABUSES.keys())
def test_websocket_frames_are_judged_before_they_are_relayed(
    tmp_path: Path, upstream: Upstream, data: bytes, reason: str
) -> None:
    upstream.handler = websocket_upstream
    route = route_to(upstream, websocket=True)
    with running_proxy(tmp_path, route, scanner=WordScanner(), max_request_bytes=4000) as proxy:  # noqa: SIM117
        with proxy.client() as client:
            client.tunnel(HOST)
            lines = "".join(f"{name}: {value}\r\n" for name, value in WEBSOCKET.items())
            client.send(f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n")
            assert client.read_head().status == 101
            assert client.read_some()
            received = upstream.bytes_received
            client.send(data)
            while client.read_some():
                pass
            assert upstream.bytes_received <= received + 8
            wait_until(proxy.audit)
            assert (proxy.audit()[-1]["decision"], proxy.audit()[-1]["reason"]) == ("block", reason)
            assert len(proxy.audit()) == 1


def test_websocket_messages_are_scanned_and_scrubbed(tmp_path: Path, upstream: Upstream) -> None:
    upstream.handler = websocket_upstream
    route = route_to(upstream, websocket=True, token_ref="TOKEN")
    secrets = {"TOKEN": SecretSource(value=TOKEN)}
    with (
        running_proxy(tmp_path, route, secrets=secrets, scanner=WordScanner()) as proxy,
        proxy.client() as client,
    ):
        client.tunnel(HOST)
        lines = "".join(f"{name}: {value}\r\n" for name, value in WEBSOCKET.items())
        client.send(f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n")
        assert client.read_head().status == 101
        data = client.read_some()
        assert data == frame(b"hello " + b"*" * len(TOKEN), masked=False)
        received = upstream.bytes_received
        client.send(frame(b"fine", masked=True))
        wait_until(lambda: upstream.bytes_received > received)
        received = upstream.bytes_received
        client.send(frame(b"so forbidden", masked=True))
        while client.read_some():
            pass
        assert upstream.bytes_received <= received + len(frame(b"12", masked=True)), "more than a close frame"
        wait_until(proxy.audit)
        line = proxy.audit()[-1]
        assert (line["decision"], line["reason"], line["rule"]) == ("block", "dlp", "word:message")
    assert upstream.requests[0].header("authorization") == [f"Bearer {TOKEN}"]
    assert upstream.requests[0].header("sec-websocket-extensions") == []
