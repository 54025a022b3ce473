"""The operator's pipelock as the engine, against a stand-in that speaks its documented interface."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from sidecars.pipelock.binary import PipelockEngine
from sidecars.pipelock.config import MAX_TEXT_BYTES, ApiAddress, render, run_argv
from sidecars.pipelock.scanner import Finding, PipelockScanner
from sidecars.scan.budget import Limits, UnreadableError
from sidecars.scan.exact import SecretNeedles
from tests.scan.corpus import ALNUM, Maker

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "MARKED-" + Maker(3).take(ALNUM, 20)
TOKEN = Maker(4).take(ALNUM, 40)
SECRET = "live_" + Maker(5).take(ALNUM, 40)
KNOWN_KEYS = {
    "version", "mode", "enforce", "explain_blocks", "api_allowlist", "fetch_proxy", "forward_proxy", "logging",
    "scan_api",
}  # fmt: skip


class StandIn(ThreadingHTTPServer):
    """Takes its settings from the rendered file, as the program would, and refuses what it does not know."""

    daemon_threads = True
    answer: tuple[int, bytes] | None = None
    delay_until: threading.Event | None = None

    def __init__(self, config: str) -> None:
        self.config: dict[str, Any] = YAML(typ="safe").load(config)
        assert set(self.config) <= KNOWN_KEYS
        assert self.config["version"] == 1
        self.api: dict[str, Any] = self.config["scan_api"]
        self.longest = 0
        super().__init__(("127.0.0.1", int(self.api["listen"].rpartition(":")[2])), Handler)


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_POST(self) -> None:
        status, body = self.server.answer or self.judge(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.delay_until is not None:
            self.server.delay_until.wait(20)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def judge(self, raw: bytes) -> tuple[int, bytes]:
        api = self.server.api
        if self.headers["Authorization"] not in [f"Bearer {each}" for each in api["auth"]["bearer_tokens"]]:
            return self.error(401, "unauthorized")
        call = json.loads(raw)
        if self.path != "/api/v1/scan" or set(call) != {"kind", "input"} or set(call["input"]) != {"text"}:
            return self.error(400, "invalid_json")
        if not api["kinds"][call["kind"]]:
            return self.error(400, "kind_disabled")
        text = call["input"]["text"]
        self.server.longest = max(self.server.longest, len(text.encode()))
        if len(raw) > api["max_body_bytes"] or len(text.encode()) > api["field_limits"]["text"]:
            return self.error(400, "invalid_input")
        denied = {"decision": "deny", "findings": [{"scanner": "dlp", "rule_id": "DLP-Mark\x1b[1m Key"}]}
        verdict = denied if MARK in text else {"decision": "allow"}
        return 200, json.dumps({"status": "completed", "engine_version": "2.3.0", **verdict}).encode()

    def error(self, status: int, code: str) -> tuple[int, bytes]:
        return status, json.dumps({"status": "error", "errors": [{"code": code}]}).encode()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server() -> Iterator[StandIn]:
    standin = StandIn(render(ApiAddress(_free_port(), TOKEN), 1, scan_seconds=5))
    thread = threading.Thread(target=standin.serve_forever, args=(0.01,))
    thread.start()
    yield standin
    if standin.delay_until is not None:
        standin.delay_until.set()
    standin.shutdown()
    thread.join()
    standin.server_close()


def _engine(server: StandIn, token: str = TOKEN) -> PipelockEngine:
    return PipelockEngine(ApiAddress(server.server_address[1], token))


def _scanner(server: StandIn, *secrets: str, seconds: float = 5) -> PipelockScanner:
    return PipelockScanner(_engine(server), SecretNeedles(secrets), limits=Limits(max_seconds=seconds))


FOUND = Finding("pipelock/DLP-Mark1m Key", "body")


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (MARK.encode(), ""),
        (gzip.compress(MARK.encode()), "gzip"),
        (gzip.compress(MARK.encode()), ""),
        (base64.b64encode(b"xx" + MARK.encode() + b"yy"), ""),
        (MARK.encode("utf-16"), ""),
        (b"x" * (MAX_TEXT_BYTES // 3 - 10) + MARK.encode() + b"y" * 2 * MAX_TEXT_BYTES, ""),
        (b"\xff" * MAX_TEXT_BYTES + MARK.encode(), ""),
    ],
    ids=["plain", "gzip", "gzip-undeclared", "base64", "utf-16", "between-pieces", "not-text"],
)
def test_its_verdicts_are_findings(server: StandIn, body: bytes, encoding: str) -> None:
    assert _scanner(server).scan_body(body, "text/plain", encoding) == FOUND
    assert server.longest <= MAX_TEXT_BYTES


def test_what_it_allows_passes_unless_a_known_secret_is_in_it(server: StandIn) -> None:
    assert _scanner(server).scan_body(SECRET.encode(), "", "") is None
    assert _scanner(server, SECRET).scan_body(SECRET.encode(), "", "") == Finding("known-secret", "body")
    assert _scanner(server).scan_head("GET", f"https://a.test/{MARK}", []) == Finding(FOUND.rule, "url")
    assert _scanner(server).scan_message(MARK.encode()) == Finding(FOUND.rule, "message")


@pytest.mark.parametrize(
    "answer",
    [
        (500, b'{"status": "error"}'),
        (503, b'{"status": "error", "errors": [{"code": "kill_switch_active"}]}'),
        (429, b'{"status": "error", "errors": [{"code": "rate_limited"}]}'),
        (500, b'{"status": "completed", "decision": "allow"}'),
        (200, b'{"status": "error", "decision": "allow"}'),
        (200, b'{"status": "completed", "decision": "maybe"}'),
        (200, b'{"status": "completed"}'),
        (200, b'["allow"]'),
        (200, b"nonsense"),
        (200, b"[" * 100_000),
        (200, b""),
    ],
)
def test_anything_but_a_clear_verdict_refuses(server: StandIn, answer: tuple[int, bytes]) -> None:
    server.answer = answer
    assert _scanner(server).scan_body(b"harmless", "", "") == Finding("scanner-unavailable", "body")


@pytest.mark.parametrize(
    "findings", [b"", b', "findings": []', b', "findings": [1]', b', "findings": {"a": 1}']
)
def test_a_denial_without_details_is_still_a_denial(server: StandIn, findings: bytes) -> None:
    server.answer = (200, b'{"status": "completed", "decision": "deny"' + findings + b"}")
    assert _scanner(server).scan_body(b"harmless", "", "") == Finding("pipelock/unnamed", "body")


def test_a_wrong_token_refuses(server: StandIn) -> None:
    with pytest.raises(UnreadableError, match="engine"):
        _engine(server, "wrong").scan(b"harmless")


def test_no_engine_refuses() -> None:
    scanner = PipelockScanner(PipelockEngine(ApiAddress(_free_port(), TOKEN)), SecretNeedles([]))
    assert scanner.scan_body(b"harmless", "", "") == Finding("scanner-unavailable", "body")


def test_a_slow_engine_refuses_in_time(server: StandIn) -> None:
    server.delay_until = threading.Event()
    start = time.monotonic()
    found = _scanner(server, seconds=0.3).scan_body(b"harmless", "", "")
    assert found == Finding("scanner-unavailable", "body")
    assert time.monotonic() - start < 3


def test_health_is_a_real_scan_and_names_the_version(server: StandIn) -> None:
    assert _engine(server).version() == "2.3.0"
    with pytest.raises(UnreadableError):
        _engine(server, "wrong").version()


def test_the_token_is_in_no_representation() -> None:
    address = ApiAddress(1, TOKEN)
    assert TOKEN not in repr(address) + str(address) + repr(PipelockEngine(address))


def test_the_configuration_listens_on_loopback_only_and_forwards_nothing() -> None:
    config = YAML(typ="safe").load(render(ApiAddress(9, TOKEN), 8, scan_seconds=2.5))
    assert config["scan_api"]["listen"] == "127.0.0.1:9"
    assert config["fetch_proxy"]["listen"] == "127.0.0.1:8"
    assert config["forward_proxy"] == {"enabled": False}
    assert config["mode"] == "strict"
    assert config["scan_api"]["timeouts"]["scan"] == "2.5s"


def test_it_is_run_in_the_foreground_with_the_file() -> None:
    assert run_argv(Path("/a/pipelock"), Path("/b.yaml")) == ["/a/pipelock", "run", "--config", "/b.yaml"]
