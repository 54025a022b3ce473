"""Pieces of requests put together at random, at the proxy's front and inside a tunnel.

Whatever comes, the proxy lives, and no request goes upstream that the policy does not allow.
"""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING

import pytest

from tests.egress.conftest import HOST, TOKEN

if TYPE_CHECKING:
    from tests.egress.support import Client, Proxy, Upstream

ROUNDS = 100
QUIET_S = 0.15
PROPER = 0.3
PATHS = [b"/open/x", b"/open/../secret", b"/secret", b"/open/%2e%2e/x", b"/openx", b"//open/x"]
NAME = HOST.encode()
START = [
    b"GET ", b"POST ", b"CONNECT ", b"PRI ", b"get ", b"\x16\x03\x01\x02\x00", b"\0", b"GET\t", b"PUT ", NAME, b":443",
    b"http://" + NAME + b"/open/x", b"/open/x", b"/open/y?z", b"/open/../secret", b"/open/%2e%2e/x", b"/", b"*", b"//",
    b"http://[::1]/", b"https://other.example.com/", b" HTTP/1.1", b" HTTP/1.0", b" HTTP/2.0", b" HTTP/9", b"",
]  # fmt: skip
FIELDS = [
    b"Host: " + NAME, b"Host: other.example.com", b"Content-Length: 5", b"Content-Length: -1",
    b"Content-Length: 99999999999999999999", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding : chunked", b" folded", b"Upgrade: h2c", b"Upgrade: websocket", b"Connection: upgrade",
    b"X-HTTP-Method-Override: DELETE", b"Authorization: Bearer mine", b"Expect: 100-continue", b"nocolon", b":",
    b"\xff: \xfe", b"Proxy-Authorization: Basic x", b"Trailer: Host", b"Accept: " + b"a" * 3000,
]  # fmt: skip
ENDS = [b"\r\n", b"\n", b"\r", b"\0", b""]
BODIES = [
    b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n", b"\x00" * 64,
    b"GET /open/again HTTP/1.1\r\nHost: x\r\n\r\n",
]  # fmt: skip


def fuzzed(source: random.Random) -> bytes:
    """Return something that begins like a request, more or less; now and then a proper one."""
    if source.random() < PROPER:
        return (
            source.choice([b"GET ", b"POST "])
            + source.choice(PATHS)
            + b" HTTP/1.1\r\nHost: "
            + NAME
            + b"\r\n\r\n"
        )
    line = b"".join(source.choices(START, k=source.randint(1, 5)))
    fields = b"".join(
        field + source.choice(ENDS[:2]) for field in source.choices(FIELDS, k=source.randint(0, 6))
    )
    return line + source.choice(ENDS) + fields + source.choice(ENDS) + source.choice(BODIES)


def send_and_drain(client: Client, data: bytes) -> None:
    """Send ``data`` and read what comes until the proxy is quiet or ends the connection."""
    with contextlib.suppress(OSError):
        client.send(data)
        client.socket.settimeout(QUIET_S)
        while client.socket.recv(65536):
            pass


def assert_alive_and_sound(proxy: Proxy, upstream: Upstream) -> None:
    for request in upstream.requests:
        assert request.line.split()[1].startswith("/open/"), request.line
        assert request.header("host") == [HOST]
        assert b"mine" not in request.raw
    with proxy.client() as client:
        client.tunnel(HOST)
        assert client.request("GET", "/open/alive", HOST).status == 200


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("inside", [False, True], ids=["front", "tunnel"])
def test_random_requests_do_no_harm(proxy: Proxy, upstream: Upstream, seed: int, inside: bool) -> None:
    source = random.Random(seed)
    for _round in range(ROUNDS // 2):
        with contextlib.suppress(TimeoutError, ConnectionError), proxy.client() as client:
            if inside:
                client.tunnel(HOST)
            send_and_drain(client, fuzzed(source))
    assert_alive_and_sound(proxy, upstream)
    assert {entry["decision"] for entry in proxy.audit()} >= {"allow", "block"}
    assert TOKEN not in proxy.audit_file.read_text()
