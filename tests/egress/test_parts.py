"""Routes, secrets, certificates, audit, addresses and scrubbing, each on its own."""

from __future__ import annotations

import ipaddress
import itertools
import json
import os
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sidecars import ca
from sidecars.audit import AuditEntry, AuditLog, AuditUnavailable
from sidecars.egress import addresses
from sidecars.egress.routes import Route, RouteSet, TokenRef
from sidecars.egress.scrub import Scrubber
from sidecars.secrets import COMMAND_INTERVAL_S, SecretSource, SecretStore, SecretUnavailable, placeholder

if TYPE_CHECKING:
    from pathlib import Path

HOSTS = [
    ("api.example.com", "api.example.com"),
    ("API.Example.com.", "api.example.com"),
    ("*.Example.com", "*.example.com"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("*.bücher.example", "*.xn--bcher-kva.example"),
    ("203.0.113.7", "203.0.113.7"),
    ("[2001:DB8::1]", "2001:db8::1"),
    ("localhost", "localhost"),
]


@pytest.mark.parametrize(("written", "host"), HOSTS, ids=[case[0] for case in HOSTS])
def test_hosts_have_one_spelling(written: str, host: str) -> None:
    assert Route(host=written).host == host


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"host": ""}, "''"),
    ({"host": "*"}, "'*'"),
    ({"host": "*.com"}, "too wide"),
    ({"host": "a.*.example.com"}, "a.*.example.com"),
    ({"host": "api*.example.com"}, "api*"),
    ({"host": "*.203.0.113.7"}, "too wide"),
    ({"host": "127.1"}, "127.1"),
    ({"host": "0x7f000001"}, "0x7f000001"),
    ({"host": "2130706433"}, "2130706433"),
    ({"host": "https://x.example.com"}, "https://"),
    ({"host": "x.example.com:443"}, ":443"),
    ({"host": "straße.example"}, "xn--"),
    ({"host": "egress"}, "sidecar"),
    ({"host": "supervise"}, "sidecar"),
    ({"host": "git-gate"}, "sidecar"),
    ({"host": "_egress.local"}, "sidecar"),
    ({"host": "169.254.169.254"}, "metadata"),
    ({"host": "::ffff:169.254.169.254"}, "metadata"),
    ({"host": "METADATA.google.internal."}, "metadata"),
    ({"host": "x.example.com", "port": 0}, "greater"),
    ({"host": "x.example.com", "port": "443"}, "integer"),
    ({"host": "x.example.com", "scheme": "ftp"}, "'http' or 'https'"),
    ({"host": "x.example.com", "methods": ["FETCH"]}, "GET"),
    ({"host": "x.example.com", "methods": []}, "leave methods out"),
    ({"host": "x.example.com", "paths": ["v1"]}, "'v1'"),
    ({"host": "x.example.com", "paths": ["/a/../b"]}, "'/b'"),
    ({"host": "x.example.com", "paths": ["/%2e"]}, "encoded dot"),
    ({"host": "x.example.com", "paths": []}, "leave paths out"),
    ({"host": "x.example.com", "header": "a b"}, "'a b'"),
    ({"host": "x.example.com", "header": "Host"}, "'Host'"),
    ({"host": "x.example.com", "auth_scheme": "a b"}, "'a b'"),
    ({"host": "x.example.com", "upstream": "127.0.0.1"}, "HOST:PORT"),
    ({"host": "x.example.com", "token_ref": "vault:x"}, "command:ARGV"),
    ({"host": "x.example.com", "token_ref": "A B"}, "'A B'"),
    ({"host": "x.example.com", "token_ref": "file:"}, "nothing"),
    ({"host": "x.example.com", "token_ref": "command:'"}, "command:'"),
    ({"host": "x.example.com", "token_ref": "T", "scheme": "http"}, "plain http"),
    ({"host": "x.example.com", "scheme": "http", "upstream_ca": "/x"}, "no meaning"),
    ({"host": "x.example.com", "tls": False}, "tls"),
]


@pytest.mark.parametrize(
    ("values", "named"), REFUSED, ids=[str(list(case[0].items())[-1]) for case in REFUSED]
)
def test_wrong_routes_are_refused_with_the_value(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Route.model_validate(values)
    assert named in str(caught.value)


def test_a_route_set_survives_the_file(tmp_path: Path) -> None:
    routes = RouteSet(
        routes=(
            Route(
                host="a.example.com", methods=("get",), paths=("/v1/",), token_ref=TokenRef("file:~/x.token")
            ),
            Route(
                host="b.example.com", scheme="http", upstream="127.0.0.1:80", pipelock="off", websocket=True
            ),
        )
    )
    file = tmp_path / "routes.json"
    file.write_text(routes.dump())
    assert RouteSet.load(file) == routes
    assert routes.routes[1].port == 80
    assert routes.routes[0].methods == ("GET",)


NAMES = [
    ("NAME", "NAME"),
    ("env:NAME", "NAME"),
    ("file:~/.config/my-token.txt", "MY_TOKEN"),
    ("file:/etc/2fa", "TOKEN_2FA"),
    ("command:/usr/bin/pass show 'api key'", "PASS"),
]


@pytest.mark.parametrize(("text", "name"), NAMES, ids=[case[0] for case in NAMES])
def test_token_names(text: str, name: str) -> None:
    assert TokenRef(text).name == name


def test_credentials_for_git_hosts_want_methods_and_paths() -> None:
    risky = Route(host="api.github.com", token_ref=TokenRef("T"))
    fine = Route(host="api.github.com", token_ref=TokenRef("T"), methods=("GET",), paths=("/repos/",))
    other = Route(host="api.example.com", token_ref=TokenRef("T"))
    assert len(RouteSet(routes=(risky, fine, other)).warnings()) == 1
    assert Route(host="git.gitlab.example.org", token_ref=TokenRef("T")).warnings()


def test_secrets_show_themselves_to_nobody(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("value-of-file\nsecond")
    store = SecretStore({"A": SecretSource(value="value-of-a"), "F": SecretSource(path=file)})
    assert store.get("A") == "value-of-a"
    with pytest.raises(SecretUnavailable) as caught:
        store.get("F")
    assert "more than one line" in str(caught.value)
    texts = [
        repr(store),
        repr(SecretSource(value="value-of-a")),
        str(caught.value),
        repr(vars(store)["_cache"]),
    ]
    assert not any("value-of" in text for text in texts)
    assert placeholder("ANTHROPIC_API_KEY") == "bottlemux-placeholder-ANTHROPIC_API_KEY"


def test_a_secret_has_exactly_one_source(tmp_path: Path) -> None:
    for values in ({}, {"value": "a", "path": tmp_path}):
        with pytest.raises(ValueError, match="exactly one"):
            SecretSource(**values)


def test_commands_are_run_again_after_a_while(tmp_path: Path) -> None:
    now = [0.0]
    source = SecretSource(
        argv=("sh", "-c", f"echo x >> {tmp_path}/n; wc -l < {tmp_path}/n | sed s/^/value-/")
    )
    store = SecretStore({"C": source}, clock=lambda: now[0])
    assert store.may_block("C")
    assert store.get("C") == store.get("C") == "value-1"
    assert not store.may_block("C")
    now[0] = COMMAND_INTERVAL_S + 1
    assert store.may_block("C")
    assert store.get("C") == "value-2"


def test_a_slow_command_holds_up_no_other_secret(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    store = SecretStore({"C": SecretSource(argv=("cat", str(gate))), "V": SecretSource(value="value")})
    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(store.get("C")))
    thread.start()
    with gate.open("w") as stream:
        assert store.get("V") == "value"
        assert not results
        stream.write("from-command")
    thread.join(10)
    assert results == ["from-command"]


def test_the_authority_is_strict_short_lived_and_quick() -> None:
    started = time.perf_counter()
    for _ in range(5):
        key, pem = ca.make_ca("bottle x")
    assert (time.perf_counter() - started) / 5 < 0.05
    assert key.startswith(b"-----BEGIN EC PRIVATE KEY-----")
    certificate = x509.load_pem_x509_certificate(pem)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc < ca.VALIDITY * 1.1
    other = x509.load_pem_x509_certificate(ca.make_ca("bottle x")[1])
    assert other.serial_number != certificate.serial_number
    ssl.create_default_context(cadata=pem.decode())


ADDRESSES = [
    ("1.1.1.1", True, True),
    ("2606:4700::1111", True, True),
    ("127.0.0.1", False, True),
    ("127.255.255.254", False, True),
    ("10.1.2.3", False, True),
    ("172.16.0.1", False, True),
    ("192.168.1.1", False, True),
    ("169.254.1.1", False, True),
    ("100.64.0.1", False, True),
    ("198.18.0.1", False, True),
    ("192.0.2.1", False, True),
    ("240.0.0.1", False, True),
    ("::1", False, True),
    ("fe80::1", False, True),
    ("fc00::1", False, True),
    ("fec0::1", False, True),
    ("4000::1", False, True),
    ("2001:db8::1", False, True),
    ("::ffff:127.0.0.1", False, True),
    ("::ffff:1.1.1.1", False, True),
    ("::127.0.0.1", False, True),
    ("64:ff9b::7f00:1", False, True),
    ("64:ff9b::101:101", False, True),
    ("64:ff9b:1::1", False, True),
    ("2002:7f00:1::", False, True),
    ("2001::1", False, True),
    ("0.0.0.0", False, False),
    ("::", False, False),
    ("255.255.255.255", False, False),
    ("224.0.0.1", False, False),
    ("ff02::1", False, False),
    ("169.254.169.254", False, False),
    ("::ffff:169.254.169.254", False, False),
    ("64:ff9b::a9fe:a9fe", False, False),
    ("fd00:ec2::254", False, False),
    ("100.100.100.200", False, False),
]


@pytest.mark.parametrize(("text", "public", "private"), ADDRESSES, ids=[case[0] for case in ADDRESSES])
def test_addresses(text: str, public: bool, private: bool) -> None:
    address = ipaddress.ip_address(text)
    assert (addresses.refusal(address, allow_private=False) is None) == public
    assert (addresses.refusal(address, allow_private=True) is None) == private


@given(
    text=st.text(alphabet="ab*", max_size=30),
    cuts=st.lists(st.integers(0, 400), max_size=12),
    repeats=st.integers(1, 8),
)
@settings(max_examples=300, deadline=None)
def test_scrubbing_in_pieces_equals_scrubbing_at_once(text: str, cuts: list[int], repeats: int) -> None:
    secret = "abaababa"
    data = (text + secret[:3] + secret + text[::-1]).encode() * repeats
    scrubber = Scrubber(secret)
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    pieces = [scrubber.feed(data[start:end]) for start, end in itertools.pairwise(edges)]
    result = b"".join(pieces) + scrubber.end()
    assert len(result) == len(data)
    assert secret.encode() not in result
    assert all(left == right or right == ord("*") for left, right in zip(data, result, strict=True))


@pytest.mark.parametrize(
    "echo",
    [r"ab+c\/d-0123", r"ab+c/d-0123", "ab%2Bc%2Fd-0123", "ab%2bc%2fd-0123"],
    ids=["JSON of PHP", "JSON", "percent", "percent in small letters"],
)
def test_a_secret_with_slashes_is_scrubbed_as_servers_write_it(echo: str) -> None:
    assert Scrubber("ab+c/d-0123").whole(f'"{echo}"'.encode()) == f'"{"*" * len(echo)}"'.encode()


def test_what_cannot_begin_a_secret_is_passed_on_at_once() -> None:
    scrubber = Scrubber("token-0123456789")
    assert scrubber.feed(b"data: hello\n\n") == b"data: hello\n\n"
    assert scrubber.feed(b"data: tok") == b"data: "
    assert scrubber.feed(b"yo") == b"tokyo"
    assert scrubber.feed(b"token-012345678") == b""
    assert scrubber.end() == b"token-012345678"


def entry(**changes: Any) -> AuditEntry:
    return AuditEntry(**{"sidecar": "egress", "decision": "allow", **changes})


def test_audit_lines(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    log = AuditLog(file)
    log.check()
    log.record(entry(path="/a?token=x", host="é\n", rule="r" * 5000))
    log.close()
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    assert text.count("\n") == 1
    line = json.loads(text)
    assert line["path"] == "/a"
    assert len(line["rule"]) <= 1024
    assert list(line) == [
        "ts", "sidecar", "decision", "reason", "method", "host", "port", "path", "status", "request_bytes",
        "response_bytes", "rule",
    ]  # fmt: skip


def test_audit_rotation_by_several_writers(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    logs = [AuditLog(file, max_bytes=5000) for _ in range(3)]
    for number in range(100):
        logs[number % 3].record(entry(port=number))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.jsonl", "audit.jsonl.1"]
    lines = [json.loads(x) for name in ("audit.jsonl.1", "audit.jsonl") for x in (tmp_path / name).open()]
    ports = [line["port"] for line in lines]
    assert ports == list(range(ports[0], 100))
    assert file.stat().st_size < 6000


def test_an_audit_log_that_cannot_be_written_says_so_and_keeps_the_line(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "audit.jsonl"
    log = AuditLog(file)
    with pytest.raises(AuditUnavailable):
        log.check()
    with pytest.raises(AuditUnavailable):
        log.record(entry(port=1))
    file.parent.mkdir()
    log.check()
    assert json.loads(file.read_text())["port"] == 1


@pytest.mark.parametrize("kind", ["fifo", "link", "device"])
def test_an_audit_log_is_a_regular_file(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "audit.jsonl"
    if kind == "fifo":
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/full" if kind == "device" else tmp_path / "elsewhere")
    with pytest.raises(AuditUnavailable):
        AuditLog(file).check()


def test_a_full_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.check()
    space = os.statvfs(tmp_path)
    full = os.statvfs_result((*space[:3], 0, 0, *space[5:]))
    monkeypatch.setattr(os, "fstatvfs", lambda _fd: full)
    with pytest.raises(AuditUnavailable, match="full"):
        log.check()


def test_a_torn_line_is_followed_by_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "audit.jsonl"
    log = AuditLog(file)
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:10]))
    with pytest.raises(AuditUnavailable):
        log.record(entry(port=1))
    monkeypatch.setattr(os, "write", real)
    log.record(entry(port=2))
    lines = file.read_text().splitlines()
    assert [json.loads(line)["port"] for line in lines[1:]] == [1, 2]
