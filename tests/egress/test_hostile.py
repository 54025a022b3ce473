"""Time, numbers and noise: what a hostile agent can do to its proxy stays small, and leaves it alive."""

from __future__ import annotations

import random
import ssl
import threading
from typing import TYPE_CHECKING

import pytest

from sidecars.egress import connection, service
from sidecars.egress.routes import Route
from tests.egress.conftest import HOST, TOKEN
from tests.egress.support import Client, Proxy, Upstream, running_proxy, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.egress.support import UpstreamRequest


@pytest.mark.parametrize("inside", [False, True], ids=["before CONNECT", "inside the tunnel"])
@pytest.mark.parametrize("data", ["", "GET /op"], ids=["silence", "half a head"])
def test_a_head_that_does_not_come_ends_the_connection(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, inside: bool, data: str
) -> None:
    monkeypatch.setattr(connection, "FIRST_HEAD_TIMEOUT_S", 0.2)
    with proxy.client() as client:
        if inside:
            client.tunnel(HOST)
        client.send(data)
        assert client.at_end()


def test_an_upstream_that_does_not_finish_its_handshake_fails(
    tmp_path: Path, plain_upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "UPSTREAM_TLS_TIMEOUT_S", 0.2)
    route = Route(host=HOST, upstream=plain_upstream.address)
    with running_proxy(tmp_path, route) as proxy, proxy.client() as client:
        client.tunnel(HOST)
        answer = client.request("POST", "/", HOST, body=b"x" * 200_000)
        assert (answer.status, answer.json()["reason"]) == (502, "the upstream did not answer in time")


def test_a_body_is_not_taken_in_while_it_has_nowhere_to_go(tmp_path: Path, plain_upstream: Upstream) -> None:
    route = Route(host=HOST, upstream=plain_upstream.address)
    with running_proxy(tmp_path, route) as proxy, proxy.client() as client:
        client.tunnel(HOST)
        client.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 200000000\r\n\r\n")
        client.socket.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):  # noqa: PT012
            while sent < 200_000_000:
                client.send(b"x" * 100_000)
                sent += 100_000
        assert sent < 50_000_000


ENDLESS = [
    pytest.param(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n" * 1000, "head of the upstream's answer", id="headers"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nx-a: ", b"b" * 10_000, "head of the upstream's answer", id="one header"
    ),
    pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", "still to come", id="continue"),
    pytest.param(b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 100, "still to come", id="hints"),
    pytest.param(b"", b"\r\n" * 10_000, "still to come", id="blank lines"),
]


@pytest.mark.parametrize(("start", "more", "reason"), ENDLESS)
def test_an_answer_that_does_not_begin_fails(
    tmp_path: Path, plain_upstream: Upstream, start: bytes, more: bytes, reason: str
) -> None:
    cut_off = threading.Event()

    def stream(_request: UpstreamRequest, send: Callable[[bytes], None]) -> None:
        try:
            send(start)
            for _ in range(20_000_000 // len(more)):
                send(more)
        except OSError:
            cut_off.set()

    plain_upstream.handler = stream
    route = Route(host=HOST, scheme="http", upstream=plain_upstream.address)
    with running_proxy(tmp_path, route) as proxy, proxy.client() as client:
        answer = client.request("GET", f"http://{HOST}/", HOST)
        assert answer.status == 502
        assert reason in answer.json()["reason"]
        assert cut_off.wait(30)
        line = proxy.audit()[-1]
        assert (line["decision"], line["status"], line["rule"]) == ("allow", 502, "upstream")


def test_a_chunk_of_an_answer_that_does_not_begin_ends_it(tmp_path: Path, plain_upstream: Upstream) -> None:
    cut_off = threading.Event()

    def stream(_request: UpstreamRequest, send: Callable[[bytes], None]) -> None:
        try:
            send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
            for _ in range(2000):
                send(b"0" * 10_000)
        except OSError:
            cut_off.set()

    plain_upstream.handler = stream
    route = Route(host=HOST, scheme="http", upstream=plain_upstream.address)
    with running_proxy(tmp_path, route) as proxy, proxy.client() as client:
        client.send(f"GET http://{HOST}/ HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
        while client.read_some():
            pass
        assert cut_off.wait(30)


def test_connections_are_limited(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_CONNECTIONS", 4)
    clients = [proxy.client() for _ in range(4)]
    for client in clients:
        client.tunnel(HOST)
    for _ in range(3):
        with proxy.client() as more:
            assert more.at_end()
    assert clients[0].request("GET", "/open/x", HOST).status == 200
    for client in clients:
        client.socket.close()

    def served() -> bool:
        with proxy.client() as client:
            client.send(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
            return b"200" in client.read_some()

    wait_until(served)
    assert [line["rule"] for line in proxy.audit() if line["decision"] == "warn"] == ["connections"]


def test_a_client_that_leaves_is_recorded(proxy: Proxy, upstream: Upstream) -> None:
    upstream.handler = lambda _request, _send: None
    with proxy.client() as client:
        client.tunnel(HOST)
        client.send(f"GET /open/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
        wait_until(lambda: upstream.requests)
    wait_until(proxy.audit)
    assert (proxy.audit()[-1]["decision"], proxy.audit()[-1]["rule"]) == ("allow", "client-gone")


PIECES = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"Host: evil.com\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"%2e%2e", b"../", b"//", b"?", b"#", b"\x80", b"\xff",
    b"GET /closed HTTP/1.1\r\nHost: api.example.com\r\n\r\n", b"HTTP/1.1", b"0\r\n\r\n", b"Upgrade: h2c\r\n",
    b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"CONNECT evil.com:443 HTTP/1.1\r\n\r\n",
]  # fmt: skip
SEEDS = [
    b"GET /open/a?b=c HTTP/1.1\r\nHost: api.example.com\r\nX-A: b\r\n\r\n",
    b"POST /v1/a HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /open/a HTTP/1.1\r\nHost: api.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
]


def mutated(source: random.Random) -> bytes:
    """Return a request with some bytes put in, taken out or exchanged."""
    data = bytearray(source.choice(SEEDS))
    for _ in range(source.randint(1, 4)):
        position = source.randrange(len(data) + 1)
        match source.randrange(3):
            case 0:
                data[position:position] = source.choice(PIECES)
            case 1:
                del data[position : position + source.randint(1, 6)]
            case _:
                data[position : position + 1] = bytes([source.randrange(256)])
    return bytes(data)


def send_and_forget(client: Client, data: bytes) -> None:
    client.tunnel(HOST)
    client.socket.settimeout(0.02)
    try:
        client.send(data)
        while client.read_some():
            pass
    except (TimeoutError, ssl.SSLError, OSError):
        pass


def test_noise_reaches_the_upstream_only_as_whole_allowed_requests(proxy: Proxy, upstream: Upstream) -> None:
    source = random.Random(20)
    for _ in range(200):
        with proxy.client() as client:
            send_and_forget(client, mutated(source))
    assert upstream.requests
    for request in upstream.requests:
        path = request.line.split()[1]
        assert request.header("host") == [HOST]
        assert path.startswith(("/open/", "/v1/"))
        assert (TOKEN in request.raw.decode("latin-1")) == path.startswith("/v1/")
        assert not {"upgrade", "connection", "expect"} & {name for name, _ in request.headers}
    assert not [line for line in proxy.audit() if line["rule"] in {"proxy-failure", "guard-failure"}]
    with proxy.client() as client:
        client.tunnel(HOST)
        assert client.request("GET", "/open/alive", HOST).status == 200
