"""Bytes on real sockets: what is refused reaches no upstream, says why, and leaves the proxy alive."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from sidecars.egress.routes import Route
from tests.egress.conftest import HOST, TOKEN
from tests.egress.support import (
    Answer,
    Client,
    Proxy,
    Upstream,
    UpstreamRequest,
    plain_response,
    running_proxy,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def assert_untouched(proxy: Proxy, upstream: Upstream) -> None:
    """No byte went upstream, and the proxy still serves."""
    assert upstream.requests == []
    assert upstream.connections == 0
    with proxy.client() as client:
        client.tunnel(HOST)
        assert client.request("GET", "/open/alive", HOST).status == 200
    upstream.requests.clear()
    upstream.connections = 0


def assert_block(answer: Answer, reason: str) -> None:
    assert (answer.status, answer.reason) == (403, reason), answer
    document = answer.json()
    assert (document["error"], document["reason"]) == ("blocked", reason)
    assert document["hint"]


def test_requests_of_a_tunnel_are_served_and_kept_alive(tunnel: Client, upstream: Upstream) -> None:
    for number in range(3):
        answer = tunnel.request("POST", f"/open/{number}?q={number}", HOST, body=b"x" * number)
        assert (answer.status, answer.body) == (200, b"ok")
    assert upstream.connections == 1
    assert [request.line for request in upstream.requests] == [
        f"POST /open/{n}?q={n} HTTP/1.1" for n in range(3)
    ]
    assert [request.body for request in upstream.requests] == [b"", b"x", b"xx"]


def test_plain_http_is_served_in_absolute_form(proxy: Proxy, plain_upstream: Upstream) -> None:
    with proxy.client() as client:
        for target in (
            "http://plain.example.com/a?b",
            "HTTP://PLAIN.example.com:80/a?b",
            "http://plain.example.com/a/./?b",
        ):
            assert client.request("GET", target, "plain.example.com").status == 200
    assert [r.line for r in plain_upstream.requests] == ["GET /a?b HTTP/1.1"] * 2 + ["GET /a/?b HTTP/1.1"]
    assert plain_upstream.requests[0].header("host") == ["plain.example.com"]


def test_a_unix_socket_serves_too(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> None:
    directory = tmp_path_factory.mktemp("unix")
    route = Route(host=HOST, upstream=upstream.address, upstream_ca=str(upstream.ca_file))
    with running_proxy(directory, route, unix=True) as proxy, proxy.client() as client:
        client.tunnel(HOST)
        assert client.request("GET", "/", HOST).status == 200


CONNECT_REFUSALS = [
    ("evil.com:443", "host-not-allowed"),
    (f"{HOST}:444", "port-not-allowed"),
    ("127.0.0.1:443", "host-not-allowed"),
    ("127.1:443", "host-not-allowed"),
    ("2130706433:443", "host-not-allowed"),
    ("[::ffff:127.0.0.1]:443", "host-not-allowed"),
    ("0x7f.1:443", "host-not-allowed"),
    ("169.254.169.254:80", "host-not-allowed"),
    ("egress:3128", "host-not-allowed"),
    ("_egress.local:443", "host-not-allowed"),
    ("plain.example.com:80", "protocol"),
    (HOST, "protocol"),
    (f"{HOST}:0", "protocol"),
    (f"{HOST}:99999", "protocol"),
    (f"{HOST}:443/", "protocol"),
    (f"user@{HOST}:443", "host-not-allowed"),
]


@pytest.mark.parametrize(
    ("authority", "reason"), CONNECT_REFUSALS, ids=[case[0] for case in CONNECT_REFUSALS]
)
def test_connect_is_refused_on_the_connect_itself(
    proxy: Proxy, upstream: Upstream, authority: str, reason: str
) -> None:
    with proxy.client() as client:
        assert_block(client.connect(authority), reason)
        assert client.at_end()
    assert proxy.audit()[-1]["reason"] == reason
    assert_untouched(proxy, upstream)


def test_no_name_is_looked_up_before_the_decision(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    real = socket.getaddrinfo

    def spy(host: object, *rest: object, **options: object) -> object:
        asked.append(host)
        return real(host, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", spy)
    for authority in ("evil.example.net:443", "evil.example.net.:443"):
        with proxy.client() as client:
            client.connect(authority)
    assert [host for host in asked if "evil" in str(host)] == []


HEAD = f"GET /open/x HTTP/1.1\r\nHost: {HOST}\r\n"
MALFORMED = {
    "two hosts": f"{HEAD}Host: {HOST}\r\n\r\n",
    "two hosts, different": f"{HEAD}host: evil.com\r\n\r\n",
    "no host": "GET /open/x HTTP/1.1\r\n\r\n",
    "obs-fold": f"{HEAD}X-A: b\r\n c\r\n\r\n",
    "obs-fold in host": f"GET /open/x HTTP/1.1\r\nHost: {HOST}\r\n evil.com\r\n\r\n",
    "space before colon": f"{HEAD}X-A : b\r\n\r\n",
    "no colon": f"{HEAD}nonsense\r\n\r\n",
    "empty name": f"{HEAD}: b\r\n\r\n",
    "bare LF": f"GET /open/x HTTP/1.1\nHost: {HOST}\n\n",
    "bare LF between": f"GET /open/x HTTP/1.1\r\nHost: {HOST}\nX-A: b\r\n\r\n",
    "bare CR": f"{HEAD}X-A: b\rX-B: c\r\n\r\n",
    "null in value": f"{HEAD}X-A: b\0c\r\n\r\n",
    "CL and TE": f"{HEAD}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two CL": f"{HEAD}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "CL list": f"{HEAD}Content-Length: 3, 3\r\n\r\nabc",
    "CL sign": f"{HEAD}Content-Length: +3\r\n\r\nabc",
    "CL negative": f"{HEAD}Content-Length: -1\r\n\r\nabc",
    "two TE": f"{HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE identity": f"{HEAD}Transfer-Encoding: identity\r\n\r\n",
    "TE gzip": f"{HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE obfuscated": f"{HEAD}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "TE in HTTP/1.0": f"GET /open/x HTTP/1.0\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": "GET /open/x\r\n\r\n",
    "version": f"GET /open/x HTTP/1.2\r\nHost: {HOST}\r\n\r\n",
    "lower-case method": f"get /open/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
    "lower-case connect": f"connect {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
    "two spaces": f"GET  /open/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
    "tab": f"GET\t/open/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
    "space in target": f"GET /open/x y HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
    "fragment": f"GET /open/x#y HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
    "leading blank": f" GET /open/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
    "absolute form": f"GET https://{HOST}/open/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
    "absolute form elsewhere": f"GET http://evil.com/open/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
    "connect in tunnel": f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
    "h2c upgrade": f"{HEAD}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    "unknown upgrade": f"{HEAD}Connection: Upgrade\r\nUpgrade: foo\r\n\r\n",
    "unknown expectation": f"{HEAD}Expect: 200-ok\r\n\r\n",
    "raw bytes": "\x01\x02\x03\r\n\r\n",
    "header of a megabyte": HEAD + "X-A: " + "b" * 1_000_000,
    "endless headers": HEAD + "X-A: b\r\n" * 20000,
    "many headers": HEAD + "X-A: b\r\n" * 500 + "\r\n",
    "long target": "GET /open/" + "x" * 20000 + f" HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_head_is_refused(proxy: Proxy, tunnel: Client, upstream: Upstream, data: str) -> None:
    tunnel.send(data)
    assert_block(tunnel.read(), "protocol")
    assert tunnel.at_end()
    assert proxy.audit()[-1]["decision"] == "block"
    assert_untouched(proxy, upstream)


AGREEMENT = [
    ("host header", {"host": "evil.com"}, {}),
    ("host header port", {"host": f"{HOST}:8443"}, {}),
    ("host header list", {"host": f"{HOST}, evil.com"}, {}),
    ("sni", {}, {"sni": "evil.com"}),
    ("no sni", {}, {"sni": None}),
]


@pytest.mark.parametrize(
    ("request_part", "tls_part"), [c[1:] for c in AGREEMENT], ids=[c[0] for c in AGREEMENT]
)
def test_names_must_agree(
    proxy: Proxy, upstream: Upstream, request_part: dict[str, str], tls_part: dict[str, str | None]
) -> None:
    with proxy.client() as client:
        client.tunnel(HOST, sni=tls_part.get("sni", ""))
        assert_block(client.request("GET", "/open/x", request_part.get("host", HOST)), "host-mismatch")
    assert_untouched(proxy, upstream)


def test_names_must_agree_on_every_request_of_a_tunnel(tunnel: Client, upstream: Upstream) -> None:
    assert tunnel.request("GET", "/open/x", HOST).status == 200
    assert_block(tunnel.request("GET", "/open/x", "evil.com"), "host-mismatch")
    assert len(upstream.requests) == 1
    assert tunnel.at_end()


def test_what_is_pipelined_behind_a_refusal_is_never_read(
    proxy: Proxy, tunnel: Client, upstream: Upstream
) -> None:
    good = f"GET /open/smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    tunnel.send(f"GET /closed HTTP/1.1\r\nHost: {HOST}\r\n\r\n{good}{good}")
    assert_block(tunnel.read(), "path-not-allowed")
    assert tunnel.at_end()
    assert_untouched(proxy, upstream)


def test_pipelined_requests_are_served_in_order(tunnel: Client, upstream: Upstream) -> None:
    tunnel.send("".join(f"GET /open/{n} HTTP/1.1\r\nHost: {HOST}\r\n\r\n" for n in range(3)))
    assert [tunnel.read().status for _ in range(3)] == [200] * 3
    assert [request.line.split()[1] for request in upstream.requests] == ["/open/0", "/open/1", "/open/2"]


IN_CONNECT = {
    "plain http": f"GET /open/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(),
    "raw tcp": b"SSH-2.0-OpenSSH_9.2\r\n",
    "one byte": b"\x00",
    "h2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls alert record": b"\x15\x03\x01\x00\x02\x02\x28",
    "sslv2 hello": b"\x80\x2e\x01\x00\x02",
    "handshake of no tls": b"\x16\x02\x00\x00\x00",
}


@pytest.mark.parametrize("data", IN_CONNECT.values(), ids=IN_CONNECT.keys())
def test_only_tls_may_be_spoken_after_connect(proxy: Proxy, upstream: Upstream, data: bytes) -> None:
    with proxy.client() as client:
        assert client.connect(f"{HOST}:443").status == 200
        client.send(data)
        assert_block(client.read(), "protocol")
        assert client.at_end()
    assert proxy.audit()[-1]["reason"] == "protocol"
    assert_untouched(proxy, upstream)


def test_a_broken_client_hello_ends_the_connection(proxy: Proxy, upstream: Upstream) -> None:
    with proxy.client() as client:
        client.connect(f"{HOST}:443")
        client.send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\xff" + b"\x00" * 64)
        assert client.at_end()
    assert proxy.audit()[-1]["reason"] == "protocol"
    assert_untouched(proxy, upstream)


def test_bytes_sent_along_with_connect_are_judged_alike(proxy: Proxy, upstream: Upstream) -> None:
    with proxy.client() as client:
        client.send(
            f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\nGET /open/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
        )
        assert client.read(method="CONNECT").status == 200
        assert_block(client.read(), "protocol")
    assert_untouched(proxy, upstream)


def test_nothing_is_sent_upstream_while_the_client_waits_for_the_server_to_speak(
    proxy: Proxy, upstream: Upstream
) -> None:
    with proxy.client() as client:
        client.connect(f"{HOST}:443")
        client.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
    assert_untouched(proxy, upstream)


OUTSIDE = {
    "origin form": (f"GET /open/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n", "protocol"),
    "https url": (f"GET https://{HOST}/open/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n", "protocol"),
    "ftp url": (f"GET ftp://{HOST}/ HTTP/1.1\r\nHost: {HOST}\r\n\r\n", "protocol"),
    "user information": ("GET http://plain.example.com@evil.com/ HTTP/1.1\r\nHost: evil.com\r\n\r\n", "protocol"),
    "https host by http": (f"GET http://{HOST}:443/open/x HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n", "protocol"),
    "https host by http, port 80": (f"GET http://{HOST}/open/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n", "port-not-allowed"),
    "other host header": ("GET http://plain.example.com/ HTTP/1.1\r\nHost: evil.com\r\n\r\n", "host-mismatch"),
    "other host": ("GET http://evil.com/ HTTP/1.1\r\nHost: evil.com\r\n\r\n", "host-not-allowed"),
    "decimal loopback": ("GET http://2130706433/ HTTP/1.1\r\nHost: 2130706433\r\n\r\n", "host-not-allowed"),
    "short loopback": ("GET http://127.1/ HTTP/1.1\r\nHost: 127.1\r\n\r\n", "host-not-allowed"),
    "query before path": ("GET http://plain.example.com?x/../y HTTP/1.1\r\nHost: evil.com\r\n\r\n", "host-mismatch"),
    "tls to the proxy": ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "protocol"),
    "socks": ("\x05\x01\x00", "protocol"),
    "connect with body": (f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "protocol"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "reason"), OUTSIDE.values(), ids=OUTSIDE.keys())
def test_outside_a_tunnel_only_absolute_http_is_served(
    proxy: Proxy, upstream: Upstream, plain_upstream: Upstream, data: str, reason: str
) -> None:
    with proxy.client() as client:
        client.send(data)
        assert_block(client.read(), reason)
        assert client.at_end()
    assert plain_upstream.connections == 0
    assert_untouched(proxy, upstream)


def test_only_http1_is_negotiated(proxy: Proxy) -> None:
    context = ssl.create_default_context(cadata=proxy.ca_cert.decode())
    context.set_alpn_protocols(["h2", "http/1.1"])
    with proxy.client() as client:
        client.connect(f"{HOST}:443")
        with context.wrap_socket(client.socket, server_hostname=HOST) as stream:
            assert stream.selected_alpn_protocol() == "http/1.1"


BAD_CHUNKS = {
    "not hexadecimal": b"zz\r\nhello\r\n0\r\n\r\n",
    "negative": b"-5\r\nhello\r\n0\r\n\r\n",
    "no end of chunk": b"5\r\nhelloXX0\r\n\r\n",
    "huge size": b"fffffffffffffffffffffffff\r\n",
    "endless size line": b"5;" + b"x" * 100_000,
    "trailers": b"5\r\nhello\r\n0\r\nX-Trailer: y\r\n\r\n",
}


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_bad_chunks_are_refused(proxy: Proxy, tunnel: Client, upstream: Upstream, body: bytes) -> None:
    tunnel.send(
        f"POST /open/x HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + body
    )
    answer = tunnel.read()
    assert_block(answer, "protocol")
    assert tunnel.at_end()
    assert upstream.requests == []
    with proxy.client() as client:
        client.tunnel(HOST)
        assert client.request("GET", "/open/alive", HOST).status == 200


def test_chunks_pass(tunnel: Client, upstream: Upstream) -> None:
    answer = tunnel.request(
        "POST",
        "/open/x",
        HOST,
        {"Transfer-Encoding": "chunked"},
        b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n",
    )
    assert answer.status == 200
    assert upstream.requests[0].body == b"hello world"


def test_expect_continue_is_answered_only_after_admission(tunnel: Client, upstream: Upstream) -> None:
    tunnel.send(f"POST /open/x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert tunnel.read_head().status == 100
    tunnel.send("hello")
    assert tunnel.read().status == 200
    assert upstream.requests[0].body == b"hello"
    assert upstream.requests[0].header("expect") == []
    tunnel.send(f"POST /closed HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert_block(tunnel.read(), "path-not-allowed")


def test_override_headers_are_stripped(tunnel: Client, upstream: Upstream) -> None:
    sent = {
        "X-HTTP-Method-Override": "DELETE",
        "X-Original-URL": "/admin",
        "X-Rewrite-URL": "/admin",
        "X-Forwarded-Host": "evil.com",
        "X_Forwarded_Host": "evil.com",
        "Forwarded": "host=evil.com",
        "Proxy-Authorization": "Basic eDp5",
        "Proxy-Connection": "keep-alive",
        "Connection": "close, authorization",
        "TE": "trailers",
        "X-Kept": "yes",
    }
    assert tunnel.request("GET", "/open/x", HOST, sent).status == 200
    assert sorted(name for name, _ in upstream.requests[0].headers) == ["host", "x-kept"]
    assert tunnel.at_end()


def test_the_normal_form_of_the_path_is_what_is_sent(tunnel: Client, upstream: Upstream) -> None:
    tunnel.request("GET", "/open/../%6fpen//a/./b%c3%a9?q=/../%2f", HOST)
    assert upstream.requests[0].line == "GET /open/a/b%C3%A9?q=/../%2f HTTP/1.1"


def test_a_flood_of_garbage_leaves_the_proxy_alive(proxy: Proxy, upstream: Upstream) -> None:
    clients = [proxy.client() for _ in range(60)]
    for number, client in enumerate(clients):
        client.send(bytes([number % 256]) * (number * 7 + 1))
    for client in clients:
        client.socket.close()
    assert_untouched(proxy, upstream)


def test_half_a_head_and_a_closed_connection_are_harmless(proxy: Proxy, upstream: Upstream) -> None:
    for data in (
        "",
        "GET",
        f"GET /open/x HTTP/1.1\r\nHost: {HOST}\r\n",
        f"CONNECT {HOST}:443 HTTP/1.1\r\n\r\n",
    ):
        with proxy.client() as client:
            client.send(data)
    assert_untouched(proxy, upstream)


def test_the_own_host_lists_the_routes_without_secrets(proxy: Proxy, upstream: Upstream) -> None:
    with proxy.client() as client:
        answer = client.request("GET", "http://_egress.local/routes", "_egress.local")
    assert answer.status == 200
    assert [route["host"] for route in answer.json()["routes"]] == [HOST, HOST, "plain.example.com"]
    assert TOKEN.encode() not in answer.body
    assert b"127.0.0.1" not in answer.body
    with proxy.client() as client:
        assert client.request("GET", "http://_egress.local/", "_egress.local").status == 404
    assert_untouched(proxy, upstream)


def test_every_refusal_has_an_audit_line(proxy: Proxy, tunnel: Client) -> None:
    tunnel.request("DELETE", "/v1/x?secret=query-value", HOST, body=b"hello")
    wait_until(proxy.audit)
    line = proxy.audit()[-1]
    assert line.pop("ts").endswith("Z")
    assert line == {
        "sidecar": "egress",
        "decision": "block",
        "reason": "method-not-allowed",
        "method": "DELETE",
        "host": HOST,
        "port": 443,
        "path": "/v1/x",
        "status": 403,
        "request_bytes": 0,
        "response_bytes": 0,
        "rule": "policy",
    }
    assert "query-value" not in proxy.audit_file.read_text()


def test_a_refusal_arrives_even_while_a_large_body_is_being_sent(proxy: Proxy, upstream: Upstream) -> None:
    with proxy.client() as client:
        client.tunnel(HOST)
        client.send(f"POST /closed HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3000000\r\n\r\n".encode())
        client.send(b"x" * 500_000)
        assert_block(client.read(), "path-not-allowed")
    assert_untouched(proxy, upstream)


@pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
def test_what_an_upstream_says_before_its_answer_is_left_out(
    tunnel: Client, upstream: Upstream, *, apart: bool
) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"

    def answer(_request: UpstreamRequest, send: Callable[[bytes], None]) -> None:
        for part in [early, plain_response()] if apart else [early + plain_response()]:
            send(part)

    upstream.handler = answer
    for _ in range(2):
        got = tunnel.request("GET", "/open/x", HOST)
        assert (got.status, got.body) == (200, b"ok")
