"""The gate's HTTP front against clients that are not git: a clear error, and the gate goes on."""

from __future__ import annotations

import gzip
import socket
import subprocess
import zlib
from typing import TYPE_CHECKING

import pytest

from .conftest import clean_env, git, wait_for
from .fakes import aws_key

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Gate, World


def exchange(gate: Gate, data: bytes, *, end: bool = True) -> bytes:
    with socket.create_connection(("127.0.0.1", gate.port), timeout=20) as client:
        try:
            client.sendall(data)
            if end:
                client.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        answer = b""
        try:
            while part := client.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
    return answer


def head(line: str, *headers: str) -> bytes:
    return "\r\n".join([line, "Host: git-gate:9418", *headers, "", ""]).encode("latin-1")


def post(service: str, body: bytes, *headers: str, name: str = "origin") -> bytes:
    kind = f"Content-Type: application/x-{service}-request"
    length = (
        []
        if any("ength" in each or "ncoding: chunked" in each for each in headers)
        else [f"Content-Length: {len(body)}"]
    )
    return head(f"POST /{name}.git/{service} HTTP/1.1", kind, *length, *headers) + body


def packet(text: bytes) -> bytes:
    return b"%04x%b" % (len(text) + 4, text)


def alive(gate: Gate) -> bool:
    return (
        b" 200 "
        in exchange(gate, head("GET /origin.git/info/refs?service=git-upload-pack HTTP/1.1")).split(b"\r\n")[
            0
        ]
    )


REQUESTS = {
    "garbage": (b"\x00\xff\x16\x03\x01" * 50, 400),
    "git-daemon": (packet(b"git-receive-pack /origin.git\0host=x\0"), 400),
    "ssh": (b"SSH-2.0-x\r\n\r\n", 400),
    "http-1.0": (b"GET /origin.git/info/refs?service=git-upload-pack HTTP/1.0\r\n\r\n", 400),
    "absolute-form": (head("GET http://x/origin.git/info/refs?service=git-upload-pack HTTP/1.1"), 400),
    "connect": (head("CONNECT origin:443 HTTP/1.1"), 400),
    "unknown-name": (head("GET /other.git/info/refs?service=git-upload-pack HTTP/1.1"), 404),
    "no-suffix": (head("GET /origin/info/refs?service=git-upload-pack HTTP/1.1"), 404),
    "traversal": (head("GET /../origin.git/info/refs?service=git-upload-pack HTTP/1.1"), 404),
    "encoded": (head("GET /%6frigin.git/info/refs?service=git-upload-pack HTTP/1.1"), 404),
    "longer-path": (head("GET /origin.git-other.git/info/refs?service=git-upload-pack HTTP/1.1"), 404),
    "config": (head("GET /origin.git/config HTTP/1.1"), 404),
    "loose-object": (head("GET /origin.git/objects/info/packs HTTP/1.1"), 404),
    "dumb": (head("GET /origin.git/info/refs HTTP/1.1"), 403),
    "other-service": (head("GET /origin.git/info/refs?service=git-upload-archive HTTP/1.1"), 403),
    "encoded-service": (head("GET /origin.git/info/refs?service=git%2Dreceive-pack HTTP/1.1"), 403),
    "two-services": (head("GET /origin.git/info/refs?service=git-upload-pack&service=git-receive-pack HTTP/1.1"), 403),
    "post-to-refs": (head("POST /origin.git/info/refs?service=git-upload-pack HTTP/1.1", "Content-Length: 0"), 405),
    "get-pack": (head("GET /origin.git/git-receive-pack HTTP/1.1"), 405),
    "wrong-type": (head("POST /origin.git/git-receive-pack HTTP/1.1", "Content-Length: 0"), 415),
    "both-lengths": (post("git-receive-pack", b"0\r\n\r\n", "Content-Length: 5", "Transfer-Encoding: chunked"), 400),
    "two-lengths": (post("git-receive-pack", b"", "Content-Length: 0", "Content-Length: 5"), 400),
    "signed-length": (post("git-receive-pack", b"", "Content-Length: +5"), 400),
    "odd-coding": (post("git-receive-pack", b"", "Content-Length: 0", "Transfer-Encoding: gzip, chunked"), 400),
    "repeated": (head("GET /origin.git/info/refs?service=git-upload-pack HTTP/1.1", "Host: other"), 400),
    "folded": (head("GET /origin.git/info/refs?service=git-upload-pack HTTP/1.1", "X: a", " b"), 400),
    "space-before-colon": (head("GET /origin.git/info/refs?service=git-upload-pack HTTP/1.1", "X : a"), 400),
    "bare-lf": (b"GET /origin.git/info/refs?service=git-upload-pack HTTP/1.1\nHost: x\n\n", 400),
    "huge-head": (head("GET / HTTP/1.1", "X: " + "a" * 70_000), 400),
    "bad-chunk-size": (post("git-upload-pack", b"zz\r\n", "Transfer-Encoding: chunked"), 400),
    "negative-chunk": (post("git-upload-pack", b"-1\r\n", "Transfer-Encoding: chunked"), 400),
    "chunk-without-end": (post("git-upload-pack", b"2\r\nabX", "Transfer-Encoding: chunked"), 400),
    "long-chunk-line": (post("git-upload-pack", b"1" * 70_000, "Transfer-Encoding: chunked"), 400),
    "trailer": (post("git-upload-pack", b"0\r\nX: y\r\n\r\n", "Transfer-Encoding: chunked"), 400),
    "short-body": (post("git-upload-pack", b"abc", "Content-Length: 10"), 400),
    "not-gzip": (post("git-upload-pack", b"abc", "Content-Encoding: gzip"), 400),
    "half-gzip": (post("git-upload-pack", gzip.compress(b"0000")[:-4], "Content-Encoding: gzip"), 400),
    "unknown-encoding": (post("git-upload-pack", b"abc", "Content-Encoding: br"), 415),
    "gzip-bomb": (post("git-upload-pack", gzip.compress(bytes(80 << 20)), "Content-Encoding: gzip"), 413),
}  # fmt: skip


@pytest.mark.parametrize("case", REQUESTS)
def test_bad_requests(shared: World, case: str) -> None:
    data, status = REQUESTS[case]
    answer = exchange(shared.gates[0], data)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert b"Traceback" not in answer
    assert b"/" + str(shared.tmp).encode().lstrip(b"/") not in answer


def test_unknown_names_are_recorded(shared: World) -> None:
    exchange(shared.gates[0], REQUESTS["unknown-name"][0])
    last = shared.gates[0].audit()[-1]
    assert (last["reason"], last["path"]) == ("unknown-remote", "/other.git/info/refs")


def test_one_request_a_connection(shared: World) -> None:
    request = head("GET /origin.git/info/refs HTTP/1.1")
    assert exchange(shared.gates[0], request * 2).count(b"HTTP/1.1 ") == 1


BODIES = {
    "empty": b"",
    "flush": b"0000",
    "not-a-packet": b"zzzz",
    "short-packet": b"0009abc",
    "huge-packet": b"ffff" + b"a" * 100,
    "command-without-pack": packet(b"0" * 40 + b" " + b"a" * 40 + b" refs/heads/x\0report-status") + b"0000",
    "command-with-garbage": packet(b"0" * 40 + b" " + b"a" * 40 + b" refs/heads/x\0report-status") + b"0000PACKgarbage",
    "bad-old": packet(b"x" * 40 + b" " + b"a" * 40 + b" refs/heads/x\0report-status") + b"0000",
    "wants": packet(b"want " + b"a" * 40 + b"\n") + b"0000" + packet(b"done\n"),
    "unknown-command": packet(b"command=object-info\n") + b"0000",
    "push-certificate": packet(b"push-cert\0report-status\n") + packet(b"push-cert-end\n") + b"0000",
}  # fmt: skip


@pytest.mark.parametrize("service", ["git-upload-pack", "git-receive-pack"])
def test_git_garbage(shared: World, service: str) -> None:
    gate = shared.gates[0]
    before = git(shared.upstream, "for-each-ref").stdout
    for name, body in BODIES.items():
        for extra in ((), ("Git-Protocol: version=2",), ("Git-Protocol: version=2:evil=$(id)",)):
            answer = exchange(gate, post(service, body, *extra))
            assert b"\nok refs/" not in answer, name
    assert git(shared.upstream, "for-each-ref").stdout == before == gate.mirror_refs()
    assert alive(gate)


def run(work: Path, *argv: str, data: bytes = b"") -> bytes:
    return subprocess.run(
        ["git", *argv], cwd=work, env=clean_env(work), input=data, capture_output=True, check=True
    ).stdout


def test_a_history_that_is_cut_off_hides_nothing(shared: World) -> None:
    """A client that says its history is shallow could leave a commit with a secret out of the scan."""
    gate, work = shared.gates[0], shared.tmp / "work"
    git(work, "checkout", "--quiet", "--detach", "origin/main")
    shared.commit(work, "a", aws_key())
    new = shared.commit(work, "a", "clean\n")
    objects = run(work, "rev-list", "--objects", "--no-walk", new)
    pack = run(
        work,
        "pack-objects",
        "--stdout",
        "--quiet",
        data=b"".join(line.split()[0] + b"\n" for line in objects.splitlines()),
    )
    command = packet(f"{'0' * 40} {new} refs/heads/x\0report-status".encode())
    for claim in (b"", packet(f"shallow {new}\n".encode())):
        exchange(gate, post("git-receive-pack", claim + command + b"0000" + pack))
        assert gate.audit()[-1]["decision"] == "block"
    assert not shared.upstream_ref("refs/heads/x")


def test_slow_and_silent_clients(world: World) -> None:
    world.limit(request_s=0.2, stalled_s=0.3, body_s=0.5, connections=5)
    gate = world.gate()
    assert exchange(gate, b"", end=False).startswith(b"HTTP/1.1 408 ")
    assert exchange(gate, b"GET / HT", end=False).startswith(b"HTTP/1.1 408 ")
    assert exchange(gate, post("git-upload-pack", b"", "Content-Length: 5"), end=False).startswith(
        b"HTTP/1.1 408 "
    )
    crowd = [socket.create_connection(("127.0.0.1", gate.port), timeout=20) for _ in range(12)]
    assert any(b" 503 " in client.recv(4096) for client in crowd)
    for client in crowd:
        client.close()
    wait_for(lambda: alive(gate), "the crowd's end")


def test_compressed_bodies_are_understood(shared: World) -> None:
    body = packet(b"command=ls-refs\n") + b"0000"
    plain = exchange(shared.gates[0], post("git-upload-pack", body, "Git-Protocol: version=2"))
    packed = gzip.compress(body)
    assert zlib.decompress(packed, 31) == body
    unpacked = exchange(
        shared.gates[0], post("git-upload-pack", packed, "Git-Protocol: version=2", "Content-Encoding: gzip")
    )
    assert plain == unpacked
    assert b"refs/heads/main" in plain
