"""What the scanner finds on its way through the proxy: refused with rule and place, the value nowhere."""

from __future__ import annotations

import contextlib
import gzip
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sidecars.egress import findings, runtime
from sidecars.egress.routes import Route
from sidecars.egress.scan import Finding
from sidecars.secrets import SecretSource
from tests.egress.support import Client, Proxy, Upstream, running_proxy, wait_until
from tests.egress.test_transfer import WEBSOCKET, websocket_upstream
from tests.outbound.conftest import HOST
from tests.outbound.support import running_outbound

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TOKEN = "operators-token-0123456789abcdef"
BODY = 10 * 1024 * 1024
MESSAGE = 1024 * 1024


def route(upstream: Upstream, **more: Any) -> Route:
    return Route(host=HOST, upstream=upstream.address, upstream_ca=str(upstream.ca_file), **more)


GZIP = {"Content-Encoding": "gzip"}
CASES = {
    "url": ({"target": f"/a?b={TOKEN}"}, "known-secret:url", "in the URL"),
    "header": ({"headers": {"X-A": TOKEN}}, "known-secret:header", "in the header"),
    "body": ({"body": TOKEN.encode()}, "known-secret:body", "in the body"),
    "large body": ({"body": b" " * 500_000 + TOKEN.encode()}, "known-secret:body", "in the body"),
    "packed": ({"body": gzip.compress(TOKEN.encode()), "headers": GZIP}, "known-secret:body", "in the body"),
    "broken": ({"body": b"no gzip", "headers": GZIP}, "unreadable:body:damaged", "compression"),
    "encoding": (
        {"body": b"x", "headers": {"Content-Encoding": "strange"}},
        "unreadable:body:unknown-encoding",
        "use UTF-8",
    ),
}


@pytest.mark.parametrize(("sent", "rule", "hint"), CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("mode", ["block", "warn", "off"])
def test_findings_name_rule_and_place(
    tmp_path: Path, upstream: Upstream, sent: dict[str, Any], rule: str, hint: str, mode: Any
) -> None:
    secrets = {"TOKEN": SecretSource(value=TOKEN)}
    with (
        running_outbound(tmp_path, route(upstream), secrets=secrets, scan_mode=mode) as proxy,
        proxy.client() as client,
    ):
        client.tunnel(HOST)
        answer = client.request(
            "POST", sent.get("target", "/a"), HOST, sent.get("headers"), sent.get("body", b"")
        )
        wait_until(lambda: any(line["decision"] != "warn" for line in proxy.audit()))
        lines = proxy.audit()
        assert TOKEN not in proxy.audit_file.read_text()
    assert len(upstream.requests) == (mode != "block")
    if mode == "block":
        assert (answer.status, answer.reason) == (403, "dlp")
        assert hint in answer.json()["hint"]
        assert TOKEN not in answer.body.decode()
        assert (lines[-1]["decision"], lines[-1]["rule"]) == ("block", rule)
    else:
        assert answer.status == 200
        assert [line["rule"] for line in lines if line["decision"] == "warn"] == [rule] * (mode == "warn")


RULES = [
    "known-secret",
    "unreadable",
    "suspicious-label",
    findings.UNAVAILABLE,
    "github-pat",
    "pipelock/Some Rule",
]
REASONS = [
    "too-large",
    "too-deep",
    "too-many",
    "too-slow",
    "damaged",
    "encrypted",
    "unknown-encoding",
    "other",
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("part", ["url", "header", "body", "message", "host"])
def test_every_finding_has_a_hint_of_what_to_do(rule: str, part: str) -> None:
    refusal = findings.refusal(Finding(rule, part))
    assert (refusal.reason, refusal.rule) == ("dlp", f"{rule}:{part}")
    assert any(word in refusal.hint for word in ("leave it out", "ask the operator", "tell the operator"))


def test_every_reason_why_something_is_unreadable_has_a_text_of_its_own() -> None:
    hints = {findings.refusal(Finding("unreadable", f"body:{reason}")).hint for reason in REASONS}
    assert len(hints) == len(REASONS)


class Patient:
    """Looks at a large body until it is let go."""

    waits = False

    def __init__(self) -> None:
        self.looking = threading.Event()
        self.looks = 0
        self.let_go = threading.Event()

    def scan_host(self, host: str, wildcard: str) -> None:
        return None

    def scan_head(self, method: str, url: str, headers: Sequence[tuple[str, str]]) -> None:
        return None

    def scan_body(self, body: bytes, content_type: str, content_encoding: str) -> Finding | None:
        if len(body) == BODY:
            self.looks += 1
            self.looking.set()
            assert self.let_go.wait(20)
            return Finding("hostile", "body")
        return None

    def scan_message(self, data: bytes) -> Finding | None:
        return None

    def scan_control(self, data: bytes) -> None:
        return None


@pytest.mark.parametrize("size", [0, 256, 100_000], ids=["no body", "small", "large"])
def test_a_body_that_takes_long_to_scan_holds_up_nothing_else(
    tmp_path: Path, upstream: Upstream, size: int
) -> None:
    scanner = Patient()
    with running_proxy(tmp_path, route(upstream), scanner=scanner) as proxy:  # noqa: SIM117
        with proxy.client() as hostile, proxy.client() as other:
            hostile.tunnel(HOST)
            lines = f"POST /hostile HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {BODY}\r\n\r\n"
            hostile.send(lines.encode() + b"x" * BODY)
            assert scanner.looking.wait(10)
            other.tunnel(HOST)
            assert other.request("POST", "/other", HOST, body=b"y" * size).status == 200
            scanner.let_go.set()
            answer = hostile.read()
            assert (answer.status, answer.reason) == (403, "dlp")
    assert [request.line.split()[1] for request in upstream.requests] == ["/other"]


def test_an_agent_that_leaves_during_the_scan_sends_nothing(tmp_path: Path, upstream: Upstream) -> None:
    scanner = Patient()
    with running_proxy(tmp_path, route(upstream), scanner=scanner) as proxy:
        with proxy.client() as client:
            client.tunnel(HOST)
            lines = f"POST /hostile HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {BODY}\r\n\r\n"
            client.send(lines.encode() + b"x" * BODY)
            assert scanner.looking.wait(10)
        scanner.let_go.set()
        wait_until(proxy.audit)
        assert proxy.audit()[-1]["rule"] in {"hostile:body", "client-gone"}
    assert upstream.connections == 0


HEAD = f"POST /hostile HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {BODY}\r\n\r\n".encode()


def test_many_large_bodies_at_once_are_not_all_kept(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "MAX_HELD_BYTES", 2 * BODY + BODY // 2)
    scanner = Patient()
    with running_proxy(tmp_path, route(upstream), scanner=scanner) as proxy, contextlib.ExitStack() as stack:
        first, second, third, later = [stack.enter_context(proxy.client()) for _ in range(4)]
        for client in (first, second, third, later):
            client.tunnel(HOST)
        for client in (first, second):
            client.send(HEAD + b"x" * BODY)
        wait_until(lambda: scanner.looks == 2)
        third.send(HEAD + b"x" * (BODY - 1))
        answer = third.read()
        assert (answer.status, answer.reason) == (403, "too-large")
        assert "try again" in answer.json()["hint"]
        wait_until(proxy.audit)
        assert proxy.audit()[-1]["rule"] == "memory"
        scanner.let_go.set()
        for client in (first, second):
            assert client.read().reason == "dlp"
        later.send(HEAD + b"x" * BODY)
        assert later.read().reason == "dlp"


def fragment(opcode: int, payload: bytes, *, final: bool) -> bytes:
    size = bytes([0xFF]) + len(payload).to_bytes(8) if len(payload) > 125 else bytes([0x80 | len(payload)])
    return bytes([(0x80 if final else 0) | opcode]) + size + b"\0\0\0\0" + payload


def open_websocket(proxy: Proxy) -> Client:
    client = proxy.client()
    client.tunnel(HOST)
    lines = "".join(f"{name}: {value}\r\n" for name, value in WEBSOCKET.items())
    client.send(f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n")
    assert client.read_head().status == 101
    return client


def test_many_large_messages_at_once_are_not_all_kept(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "MAX_HELD_BYTES", 2 * MESSAGE + MESSAGE // 2)
    upstream.handler = websocket_upstream
    part = fragment(2, b"x" * (MESSAGE - 1), final=False)
    options: dict[str, Any] = {"scanner": Patient(), "max_request_bytes": MESSAGE}
    with running_proxy(tmp_path, route(upstream, websocket=True), **options) as proxy:
        clients = [open_websocket(proxy) for _ in range(3)]
        for client in clients[:2]:
            received = upstream.bytes_received
            client.send(part + fragment(9, b"ping", final=True))
            wait_until(lambda: upstream.bytes_received > received)  # noqa: B023
        with contextlib.suppress(OSError):
            clients[2].send(part)
        wait_until(proxy.audit)
        assert (proxy.audit()[-1]["reason"], proxy.audit()[-1]["rule"]) == ("too-large", "memory")
        received = upstream.bytes_received
        clients[0].send(fragment(0, b"", final=True))
        wait_until(lambda: upstream.bytes_received > received + MESSAGE // 2)
        clients[1].send(fragment(0, b"", final=True))
        wait_until(lambda: upstream.bytes_received > received + MESSAGE + MESSAGE // 2)
        last = open_websocket(proxy)
        last.send(part + fragment(0, b"", final=True))
        wait_until(lambda: upstream.bytes_received > received + 2 * MESSAGE + MESSAGE // 2)
        for client in (*clients, last):
            client.socket.close()
