"""The operator's pipelock in the role of the engine, end to end: no clear verdict, no request."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sidecars.egress.routes import Route
from sidecars.pipelock import binary
from tests.egress.support import Answer, Proxy, Upstream, wait_until
from tests.outbound.conftest import HOST
from tests.outbound.support import MARK, make_stand_in, running_outbound

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    return make_stand_in(tmp_path / "operator")


def route(upstream: Upstream, **more: Any) -> Route:
    return Route(
        host=HOST, upstream=upstream.address, upstream_ca=str(upstream.ca_file), websocket=True, **more
    )


@pytest.fixture
def proxy(tmp_path: Path, upstream: Upstream, stand_in: Path) -> Iterator[Proxy]:
    with running_outbound(tmp_path, route(upstream), pipelock_binary=str(stand_in)) as running:
        yield running


def starts(stand_in: Path) -> list[dict[str, Any]]:
    seen = stand_in.with_name("seen")
    return [json.loads(line) for line in seen.read_text().splitlines()] if seen.exists() else []


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def post(proxy: Proxy, body: bytes = b"harmless", target: str = "/a", **headers: str) -> Answer:
    with proxy.client() as client:
        client.tunnel(HOST)
        return client.request("POST", target, HOST, headers, body)


def verdict(proxy: Proxy, answer: Answer) -> tuple[int, str, str]:
    wait_until(proxy.audit)
    return answer.status, answer.reason, proxy.audit()[-1]["rule"]


CASES = {
    "url": ({"target": f"/a?b={MARK}"}, "url"),
    "header": ({"X-A": MARK}, "header"),
    "body": ({"body": MARK.encode()}, "body"),
    "large body": ({"body": b"x " * 300_000 + MARK.encode()}, "body"),
}


@pytest.mark.parametrize(("request_", "where"), CASES.values(), ids=CASES.keys())
def test_its_denials_refuse_before_anything_leaves(
    proxy: Proxy, upstream: Upstream, request_: dict[str, Any], where: str
) -> None:
    assert verdict(proxy, post(proxy, **request_)) == (403, "dlp", f"pipelock/Mark:{where}")
    assert upstream.connections == 0
    assert post(proxy).status == 200


def test_the_program_is_told_what_it_needs_and_nothing_else(
    proxy: Proxy, stand_in: Path, tmp_path: Path
) -> None:
    (seen,) = starts(stand_in)
    token = seen["config"]["scan_api"]["auth"]["bearer_tokens"][0]
    assert seen["argv"][1:3] == ["run", "--config"]
    assert seen["argv"][3].startswith("/proc/self/fd/")
    assert seen["mode"] == 0o600
    assert set(seen["env"]) <= {"HOME", "PATH", "LANG", "TZ", "LC_CTYPE"}
    assert token not in str(seen["argv"]) + str(seen["env"])
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "seen"]
    assert not [path for path in written if token.encode() in path.read_bytes()]


def test_it_ends_with_the_way_out(proxy: Proxy, stand_in: Path) -> None:
    pid = starts(stand_in)[0]["pid"]
    assert is_alive(pid)
    proxy.stop()
    assert not is_alive(pid)


def test_a_killed_program_refuses_until_it_runs_again(
    proxy: Proxy, upstream: Upstream, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.kill(starts(stand_in)[0]["pid"], signal.SIGKILL)
    wait_until(lambda: not is_alive(starts(stand_in)[0]["pid"]))
    assert verdict(proxy, post(proxy))[2].startswith("scanner-unavailable:")
    assert upstream.connections == 0
    wait_until(lambda: len(starts(stand_in)) == 2)
    wait_until(lambda: post(proxy).status == 200)


@pytest.mark.parametrize("mode", ["block", "warn"])
@pytest.mark.parametrize("body", [b"drop dead", b"hang"], ids=["dies", "hangs"])
def test_no_verdict_refuses_in_either_mode(
    tmp_path: Path,
    upstream: Upstream,
    stand_in: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    body: bytes,
) -> None:
    monkeypatch.setattr(binary, "_LONGEST_WAIT_S", 0.5)
    options: dict[str, Any] = {"pipelock_binary": str(stand_in), "scan_mode": mode}
    with running_outbound(tmp_path, route(upstream), **options) as proxy:
        answer = post(proxy, body)
        assert verdict(proxy, answer) == (403, "dlp", "scanner-unavailable:body")
        assert "no verdict" in answer.json()["hint"]
    assert upstream.connections == 0


def test_a_program_that_hangs_holds_up_nothing_else(proxy: Proxy, stand_in: Path) -> None:
    with proxy.client() as held:
        held.tunnel(HOST)
        held.send(f"POST /a HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\n\r\nhang")
        wait_until(stand_in.with_name("hanging").exists)
        assert post(proxy).status == 200
        held.socket.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            held.socket.recv(1)


BROKEN = ["fails", "no program", "missing"]


@pytest.mark.parametrize("how", BROKEN)
def test_a_program_that_does_not_start_refuses_what_is_scanned(
    tmp_path: Path, upstream: Upstream, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_stand_in(tmp_path / "operator", "fail")
    if how == "no program":
        path.write_text("not a program")
    elif how == "missing":
        path.unlink()
    routes = [
        route(upstream, paths=("/a",)),
        route(upstream, paths=("/unscanned",), pipelock="off"),
    ]
    caplog.set_level("INFO", "bottlemux.egress")
    with running_outbound(tmp_path, *routes, pipelock_binary=str(path)) as proxy:
        assert verdict(proxy, post(proxy)) == (403, "dlp", "scanner-unavailable:url")
        assert upstream.connections == 0
        assert post(proxy, target="/unscanned").status == 200
    assert "every scanned request is refused" in caplog.text
    if how == "fails":
        token = starts(path)[0]["config"]["scan_api"]["auth"]["bearer_tokens"][0]
        assert "unknown key: scan_api" in caplog.text
        assert token not in caplog.text
        assert "\x1b" not in caplog.text


def test_the_log_says_which_engine_scans(
    tmp_path: Path, upstream: Upstream, stand_in: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bottlemux.egress")
    with running_outbound(tmp_path, route(upstream), pipelock_binary=str(stand_in)):
        assert "content is scanned by pipelock: block, pipelock 9.8.7" in caplog.text
    caplog.clear()
    with running_outbound(tmp_path, route(upstream)):
        assert "content is scanned by pipelock: block, builtin" in caplog.text


EGRESS_DIES = """
import asyncio, pathlib, sys
from sidecars.pipelock.program import PipelockProgram
async def main():
    program = PipelockProgram(pathlib.Path(sys.argv[1]))
    await program.start()
    print(program.pid, program.name, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def test_it_is_killed_with_the_process_that_started_it(stand_in: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", EGRESS_DIES, str(stand_in)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, name = parent.stdout.readline().strip().split(" ", 1)
        assert name == "pipelock 9.8.7"
        assert is_alive(int(pid))
        parent.kill()
    wait_until(lambda: not is_alive(int(pid)))
