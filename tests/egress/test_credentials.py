"""Credentials: put on matching requests only, in place of whatever the agent sent, and taken out of answers."""

from __future__ import annotations

import base64
import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sidecars.egress.routes import Route
from sidecars.secrets import SecretSource, placeholder
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
    from collections.abc import Callable


def token_route(upstream: Upstream, **changes: object) -> Route:
    values: dict[str, object] = {
        "host": HOST,
        "token_ref": "TOKEN",
        "upstream": upstream.address,
        "upstream_ca": str(upstream.ca_file),
    }
    return Route.model_validate({**values, **changes})


AGENT_SENDS = {
    "nothing": {},
    "placeholder": {"Authorization": f"Bearer {placeholder('TOKEN')}"},
    "its own": {"Authorization": "Bearer sk-own"},
    "its own twice, elsewhere": {"X-Api-Key": "sk-own", "Cookie": "session=own", "Private-Token": "own"},
    "other case": {"AUTHORIZATION": "Basic b3duOm93bg=="},
}


@pytest.mark.parametrize("sent", AGENT_SENDS.values(), ids=AGENT_SENDS.keys())
def test_the_credential_replaces_what_the_agent_sent(
    tunnel: Client, upstream: Upstream, sent: dict[str, str]
) -> None:
    assert tunnel.request("GET", "/v1/x", HOST, sent).status == 200
    request = upstream.requests[0]
    assert request.header("authorization") == [f"Bearer {TOKEN}"]
    assert b"own" not in request.raw
    assert b"placeholder" not in request.raw
    assert not request.header("cookie")


def test_a_route_without_credential_leaves_the_headers_alone(tunnel: Client, upstream: Upstream) -> None:
    tunnel.request("GET", "/open/x", HOST, {"Authorization": "Bearer own", "Cookie": "a=b"})
    assert upstream.requests[0].header("authorization") == ["Bearer own"]
    assert upstream.requests[0].header("cookie") == ["a=b"]
    assert TOKEN.encode() not in upstream.requests[0].raw


FORMS: list[tuple[str, dict[str, str], str, tuple[str, str]]] = [
    ("bearer", {}, TOKEN, ("authorization", f"Bearer {TOKEN}")),
    ("other header", {"header": "x-api-key"}, TOKEN, ("x-api-key", TOKEN)),
    (
        "other header, scheme",
        {"header": "X-Auth", "auth_scheme": "Token"},
        TOKEN,
        ("x-auth", f"Token {TOKEN}"),
    ),
    ("no scheme", {"auth_scheme": ""}, TOKEN, ("authorization", TOKEN)),
    (
        "basic token",
        {"auth_scheme": "Basic"},
        "tok-en12",
        ("authorization", "Basic " + base64.b64encode(b"x-access-token:tok-en12").decode()),
    ),
    (
        "basic pair",
        {"auth_scheme": "Basic"},
        "me:pass-word",
        ("authorization", "Basic " + base64.b64encode(b"me:pass-word").decode()),
    ),
]


@pytest.mark.parametrize(("changes", "secret", "expected"), [f[1:] for f in FORMS], ids=[f[0] for f in FORMS])
def test_forms_of_the_header(
    tmp_path: Path, upstream: Upstream, changes: dict[str, str], secret: str, expected: tuple[str, str]
) -> None:
    route = token_route(upstream, **changes)
    with running_proxy(tmp_path, route, secrets={"TOKEN": SecretSource(value=secret)}) as proxy:  # noqa: SIM117
        with proxy.client() as client:
            client.tunnel(HOST)
            assert (
                client.request("GET", "/", HOST, {"Authorization": "own", "X-Api-Key": "own"}).status == 200
            )
    name, value = expected
    assert upstream.requests[0].header(name) == [value]
    assert b"own" not in upstream.requests[0].raw


MISUSES = {
    "header": ({"X-Key": f"{placeholder('TOKEN')}"}, ""),
    "authorization": ({"Authorization": f"Bearer {placeholder('TOKEN')}"}, ""),
    "basic": (
        {"Authorization": "Basic " + base64.b64encode(f"u:{placeholder('TOKEN')}".encode()).decode()},
        "",
    ),
    "cookie": ({"Cookie": f"a={placeholder('TOKEN')}"}, ""),
    "url": ({}, f"?key={placeholder('TOKEN')}"),
}


@pytest.mark.parametrize(("sent", "query"), MISUSES.values(), ids=MISUSES.keys())
def test_a_placeholder_elsewhere_is_refused(
    tunnel: Client, upstream: Upstream, sent: dict[str, str], query: str
) -> None:
    answer = tunnel.request("GET", f"/open/x{query}", HOST, sent)
    assert (answer.status, answer.reason) == (403, "dlp")
    assert "TOKEN" in answer.json()["hint"]
    assert upstream.connections == 0


def test_a_credential_of_the_agents_own_in_the_url_is_refused(tunnel: Client, upstream: Upstream) -> None:
    answer = tunnel.request("GET", "/v1/x?a=b&access_token=own", HOST)
    assert (answer.status, answer.reason) == (403, "dlp")
    assert upstream.connections == 0


UNAVAILABLE: dict[str, dict[str, SecretSource]] = {
    "missing": {},
    "empty": {"TOKEN": SecretSource(value="")},
    "blank": {"TOKEN": SecretSource(value=" \n")},
    "multi-line": {"TOKEN": SecretSource(value="one\ntwo")},
    "control character": {"TOKEN": SecretSource(value="one\x00two")},
    "no such file": {"TOKEN": SecretSource(path=Path("/nonexistent/token"))},
    "failing command": {"TOKEN": SecretSource(argv=("false",))},
    "no such command": {"TOKEN": SecretSource(argv=("/nonexistent/program",))},
}


@pytest.mark.parametrize("secrets", UNAVAILABLE.values(), ids=UNAVAILABLE.keys())
@pytest.mark.parametrize("body", [None, b"hello"], ids=["no body", "streamed body"])
def test_a_secret_that_cannot_be_had_refuses(
    tmp_path: Path, upstream: Upstream, secrets: dict[str, SecretSource], body: bytes | None
) -> None:
    with running_proxy(tmp_path, token_route(upstream), secrets=secrets) as proxy, proxy.client() as client:
        client.tunnel(HOST)
        answer = client.request("POST", "/", HOST, body=body)
        assert (answer.status, answer.reason) == (403, "protocol")
        assert "TOKEN" in answer.json()["hint"]
        assert "one" not in answer.json()["hint"].replace("more than one", "")
        wait_until(proxy.audit)
        assert proxy.audit()[-1]["rule"] == "secret-unavailable"
    assert upstream.connections == 0


def test_rotation_takes_effect_without_a_restart(tmp_path: Path, upstream: Upstream) -> None:
    file = tmp_path / "token"
    file.write_text("first-token\n")
    with running_proxy(tmp_path, token_route(upstream), secrets={"TOKEN": SecretSource(path=file)}) as proxy:  # noqa: SIM117
        with proxy.client() as client:
            client.tunnel(HOST)
            client.request("GET", "/", HOST)
            new = tmp_path / "new"
            new.write_text("second-token\n")
            new.replace(file)
            client.request("GET", "/", HOST)
    assert [request.header("authorization") for request in upstream.requests] == [
        ["Bearer first-token"],
        ["Bearer second-token"],
    ]


def test_a_command_gives_the_secret_and_is_not_run_for_each_request(
    tmp_path: Path, upstream: Upstream
) -> None:
    count = tmp_path / "count"
    source = SecretSource(argv=("sh", "-c", f"echo x >> {count}; echo command-token"))
    with (
        running_proxy(tmp_path, token_route(upstream), secrets={"TOKEN": source}) as proxy,
        proxy.client() as client,
    ):
        client.tunnel(HOST)
        for _ in range(3):
            assert client.request("POST", "/", HOST, body=b"x" * 100_000).status == 200
    assert upstream.requests[2].header("authorization") == ["Bearer command-token"]
    assert count.read_text() == "x\n"


ECHOES: dict[str, Callable[[str], bytes]] = {
    "plain": lambda token: token.encode(),
    "twice": lambda token: f"{token}{token}".encode(),
    "base64": lambda token: base64.b64encode(token.encode()),
    "base64 shifted by one": lambda token: base64.b64encode(b"x" + token.encode() + b"yz"),
    "base64 shifted by two": lambda token: base64.b64encode(b"xx" + token.encode() + b"y"),
    "base64 of bearer": lambda token: base64.urlsafe_b64encode(f"Bearer {token}".encode()),
    "hex": lambda token: token.encode().hex().encode(),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
@pytest.mark.parametrize("step", [1, 7, 1000], ids=lambda step: f"pieces of {step}")
def test_an_echoed_token_is_scrubbed(
    tunnel: Client, upstream: Upstream, echo: Callable[[str], bytes], step: int
) -> None:
    body = b"before " + echo(TOKEN) + b" after"

    def handler(_request: UpstreamRequest, send: Callable[[bytes], None]) -> None:
        echoes = f"X-Echo: a {TOKEN} b\r\nX-{TOKEN}: c\r\n"
        send(f"HTTP/1.1 200 {TOKEN}\r\n{echoes}Content-Length: {len(body)}\r\n\r\n".encode())
        for start in range(0, len(body), step):
            send(body[start : start + step])

    upstream.handler = handler
    answer = tunnel.request("GET", "/v1/x", HOST)
    assert answer.headers["x-echo"] == f"a {'*' * len(TOKEN)} b"
    assert TOKEN.encode() not in answer.raw_head
    assert len(answer.body) == len(body)
    assert answer.body.startswith(b"before ")
    assert answer.body.endswith(b" after")
    decoded = answer.body.split(b" ")[1]
    assert decoded != echo(TOKEN)
    assert decoded.count(b"*") >= len(TOKEN)


def test_a_body_that_a_server_leaves_unread_gets_no_credential(tunnel: Client, upstream: Upstream) -> None:
    upstream.unread = frozenset({"GET"})
    smuggled = b"POST /comments HTTP/1.1\r\nHost: x\r\nContent-Length: 120\r\n\r\n"
    assert tunnel.request("GET", "/v1/x", HOST, body=smuggled).status == 200
    assert tunnel.request("GET", "/v1/y", HOST).status == 200
    assert [request.line for request in upstream.requests] == ["GET /v1/x HTTP/1.1", "GET /v1/y HTTP/1.1"]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressed_echo_is_scrubbed(tunnel: Client, upstream: Upstream, coding: str) -> None:
    plain = b"before " + TOKEN.encode() + b" after" * 1000
    packed = gzip.compress(plain) if coding == "gzip" else zlib.compress(plain)
    upstream.handler = lambda _request, send: send(plain_response(packed, {"Content-Encoding": coding}))
    for _ in range(2):
        answer = tunnel.request("GET", "/v1/x", HOST, {"Accept-Encoding": "gzip, br"})
        assert answer.body == plain.replace(TOKEN.encode(), b"*" * len(TOKEN))
        assert "content-encoding" not in answer.headers
    assert upstream.requests[0].header("accept-encoding") == ["identity"]


def test_a_coding_that_cannot_be_read_is_a_failure(proxy: Proxy, tunnel: Client, upstream: Upstream) -> None:
    upstream.handler = lambda _request, send: send(plain_response(b"\x1b\x00", {"Content-Encoding": "br"}))
    answer = tunnel.request("GET", "/v1/x", HOST)
    assert (answer.status, answer.reason) == (502, "")
    assert answer.headers["x-bottlemux-error"] == "upstream"
    with proxy.client() as client:
        client.tunnel(HOST)
        assert client.request("GET", "/open/x", HOST).headers["content-encoding"] == "br"


@pytest.mark.parametrize("coding", ["br", "gzip"])
def test_an_answer_without_body_needs_no_decoding(tunnel: Client, upstream: Upstream, coding: str) -> None:
    head = f"HTTP/1.1 304 Not Modified\r\nContent-Encoding: {coding}\r\n\r\n".encode()
    upstream.handler = lambda _request, send: send(head)
    for _ in range(2):
        answer = tunnel.request("GET", "/v1/x", HOST)
        assert (answer.status, answer.headers["content-encoding"]) == (304, coding)


def test_a_decompression_bomb_ends_the_connection(tunnel: Client, upstream: Upstream) -> None:
    bomb = gzip.compress(b"\0" * 200_000_000, 9)
    upstream.handler = lambda _request, send: send(plain_response(bomb, {"Content-Encoding": "gzip"}))
    tunnel.send(f"GET /v1/x HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
    tunnel.read_head()
    received = 0
    while data := tunnel.read_some():
        received += len(data)
    assert received < 50_000_000


def test_a_redirect_is_not_followed_with_the_credential(tunnel: Client, upstream: Upstream) -> None:
    location = f"https://evil.example.net/?t={TOKEN}"
    upstream.handler = lambda _request, send: send(plain_response(b"", {"Location": location}, 302))
    answer = tunnel.request("GET", "/v1/x", HOST)
    assert answer.headers["location"] == f"https://evil.example.net/?t={'*' * len(TOKEN)}"
    assert len(upstream.requests) == 1


def test_the_agent_can_trust_the_marks_of_egress(tunnel: Client, upstream: Upstream) -> None:
    upstream.handler = lambda _request, send: send(
        plain_response(b"", {"X-Bottlemux-Block": "dlp", "Alt-Svc": 'h3=":443"', "X-Kept": "yes"})
    )
    answer = tunnel.request("GET", "/v1/x", HOST)
    assert "x-bottlemux-block" not in answer.headers
    assert "alt-svc" not in answer.headers
    assert answer.headers["x-kept"] == "yes"


def test_a_connection_is_not_shared_with_a_route_that_goes_elsewhere(
    tmp_path: Path, upstream: Upstream
) -> None:
    other_directory = tmp_path / "other"
    other_directory.mkdir()
    other = Upstream(other_directory, HOST)
    routes = (
        token_route(upstream, paths=["/one/"]),
        token_route(other, paths=["/two/"], token_ref="OTHER"),
    )
    secrets = {"TOKEN": SecretSource(value=TOKEN), "OTHER": SecretSource(value="other-token")}
    with running_proxy(tmp_path, *routes, secrets=secrets) as proxy, proxy.client() as client:
        client.tunnel(HOST)
        for target in ("/one/a", "/two/b", "/one/c"):
            assert client.request("GET", target, HOST).status == 200
    assert [request.line.split()[1] for request in upstream.requests] == ["/one/a", "/one/c"]
    assert [request.header("authorization") for request in other.requests] == [["Bearer other-token"]]
    other.close()


def test_no_secret_is_in_audit_state_or_repr(proxy: Proxy, tunnel: Client) -> None:
    tunnel.request("GET", "/v1/x", HOST)
    wait_until(proxy.audit)
    for path in proxy.directory.iterdir():
        assert TOKEN.encode() not in path.read_bytes()
    assert TOKEN not in repr(SecretSource(value=TOKEN))
