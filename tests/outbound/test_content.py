"""What the scanner finds on its way through the proxy: refused with rule and place, the value nowhere."""

from __future__ import annotations

import gzip
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sidecars.egress import findings
from sidecars.egress.routes import Route
from sidecars.egress.scan import Finding
from sidecars.secrets import SecretSource
from tests.egress.support import Upstream, running_proxy, wait_until
from tests.outbound.conftest import HOST
from tests.outbound.support import running_outbound

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TOKEN = "operators-token-0123456789abcdef"
BODY = 10 * 1024 * 1024


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
        self.let_go = threading.Event()

    def scan_host(self, host: str, wildcard: str) -> None:
        return None

    def scan_head(self, method: str, url: str, headers: Sequence[tuple[str, str]]) -> None:
        return None

    def scan_body(self, body: bytes, content_type: str, content_encoding: str) -> Finding | None:
        if len(body) == BODY:
            self.looking.set()
            assert self.let_go.wait(20)
            return Finding("hostile", "body")
        return None

    def scan_message(self, data: bytes) -> Finding | None:
        return self.scan_body(data, "", "")

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
