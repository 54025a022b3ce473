"""What no client of the protocol sends: each is an error by the protocol's rules, and the server lives."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from sidecars.supervise import web
from tests.supervise.support import HEADERS, Server, until

if TYPE_CHECKING:
    from collections.abc import Mapping

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}


def nested(depth: int) -> bytes:
    return (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":'
        + b'{"a":' * depth
        + b"1"
        + b"}" * (depth + 1)
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="nothing"),
        pytest.param(b"\xff\xfe", 400, id="no text"),
        pytest.param(b"{", 400, id="half"),
        pytest.param(b"null", 400, id="null"),
        pytest.param(b"[]", 400, id="empty batch"),
        pytest.param(json.dumps([LIST] * 3).encode(), 400, id="batch"),
        pytest.param(b"[" * 60_000, 400, id="brackets"),
        pytest.param(nested(12_000)[:65_000], 400, id="deep and cut"),
        pytest.param(nested(8_000), 400, id="deep"),
        pytest.param(nested(40), 400, id="rather deep"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * 70_000 + b'"}', 413, id="large"),
        pytest.param(json.dumps({**LIST, "jsonrpc": "1.0"}).encode(), 400, id="version"),
        pytest.param(json.dumps({**LIST, "id": {}}).encode(), 400, id="id"),
        pytest.param(json.dumps({**LIST, "id": "\ud800"}).encode(), 400, id="half a character"),
        pytest.param(json.dumps({"jsonrpc": "2.0", "id": 1}).encode(), 400, id="no method"),
    ],
)
def test_malformed_bodies(server: Server, body: bytes, status: int) -> None:
    answer = server.send(body)
    assert answer.status == status
    assert answer.message()["error"]["code"] in {-32700, -32600, -32602}
    assert server.is_well()


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({**LIST, "method": "nonsense/do"}, id="method"),
        pytest.param({**LIST, "method": "tools/call"}, id="no tool"),
        pytest.param({**LIST, "method": "tools/call", "params": {"name": 1}}, id="tool type"),
        pytest.param({**LIST, "method": "tools/call", "params": {"name": "egress-block"}}, id="no arguments"),
        pytest.param(
            {**LIST, "method": "tools/call", "params": {"name": "egress-block", "arguments": []}}, id="list"
        ),
        pytest.param({**LIST, "method": "initialize", "params": {}}, id="initialize"),
    ],
)
def test_wrong_messages_are_errors(
    server: Server, message: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    answer = server.send(json.dumps(message).encode()).message()
    assert not caplog.records, "an agent could fill the log"
    assert answer["error"]["code"] in {-32601, -32602, -32600}
    assert server.is_well()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Host": "evil.example.com"}, 421, id="host"),
        pytest.param({"Host": "supervise:80"}, 421, id="port"),
        pytest.param({"Origin": "http://evil.example.com"}, 403, id="origin"),
        pytest.param({"Origin": "null"}, 403, id="null origin"),
        pytest.param({"Mcp-Session-Id": "forged"}, 404, id="session"),
        pytest.param({"Mcp-Session-Id": "0" * 32}, 404, id="likely session"),
        pytest.param({"Content-Type": "text/plain"}, 400, id="content type"),
        pytest.param({"Accept": "text/html"}, 406, id="accept"),
        pytest.param({"Mcp-Protocol-Version": "1999-01-01"}, 400, id="protocol version"),
    ],
)
def test_wrong_heads(server: Server, headers: Mapping[str, str], status: int) -> None:
    assert server.send(json.dumps(LIST).encode(), headers).status == status
    assert server.is_well()


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n", id="no host"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: supervise:9100\r\nHost: evil\r\n\r\n", id="two hosts"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: supervise:9100\r\nContent-Length: -1\r\n\r\n", id="negative length"
        ),
        pytest.param(b"POST / HTTP/1.1\r\nHost: supervise:9100\r\nX: " + b"x" * 200_000, id="endless head"),
        pytest.param(b"NONSENSE\r\n\r\n", id="no HTTP"),
    ],
)
def test_broken_heads_are_400(server: Server, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(head)
        with contextlib.suppress(ConnectionResetError):
            assert int(raw.recv(100).split()[1]) == 400
    assert server.is_well()


def test_more_than_a_message_may_have_is_refused_before_its_end(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nHost: supervise:9100\r\nContent-Length: 99999999\r\n\r\n")
        raw.sendall(b"x" * 1_100_000)
        assert int(raw.recv(100).split()[1]) == 413


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 405), ("DELETE", "/", 405), ("POST", "/x", 404)]
)
def test_other_methods_and_paths(server: Server, method: str, path: str, status: int) -> None:
    assert server.send(json.dumps(LIST).encode(), method=method, path=path).status == status


def test_replayed_messages_each_get_their_answer(server: Server) -> None:
    body = json.dumps(LIST).encode()
    answers = [server.send(body).message() for _ in range(5)]
    assert all(answer["result"]["tools"] for answer in answers)


def test_idle_and_garbage_connections_do_not_end_the_service(server: Server) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(30)]
    for number, connection in enumerate(idle):
        connection.sendall(
            [b"\x16\x03\x01\x02", b"GET / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.1\r\nHost:"][number % 3]
        )
    assert server.is_well()
    for connection in idle:
        connection.close()
    until(server.is_well, "service after it")


@pytest.mark.parametrize("answered", [False, True], ids=["at first", "after an answer"])
@pytest.mark.parametrize(
    "then", [b"", b"P", b"POST / HTTP/1.1\r\nHost: "], ids=["nothing", "a byte", "half a head"]
)
def test_a_request_that_does_not_begin_ends_its_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch, then: bytes, *, answered: bool
) -> None:
    monkeypatch.setattr(web, "HEAD_TIMEOUT_S", 0.3)
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with contextlib.closing(client):
        client.connect()
        connection = client.sock
        if answered:
            client.request("POST", "/", json.dumps(LIST), HEADERS)
            assert client.getresponse().read()
        connection.sendall(then)
        while connection.recv(65536):
            pass
