"""Through a real bottle: refused, asked, approved on the host, and the same request passes."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.approvals.mcp_call import SCRIPT
from tests.e2e.world import World, until
from tests.egress.support import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux]

HOST = "files.example.com"
URL = f"http://{HOST}/private/x"
BLOCKED = ("--max-time", "10", "-s", "-o", "/dev/null", "-w", "%{http_code}")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    upstream = Upstream(tmp_path)
    made = World(tmp_path / "user")
    made.manifest(
        "bottles", "dev",
        f"egress:\n  routes:\n    - host: {HOST}  # ours\n      scheme: http\n      paths: [/public/]\n"
        f"      upstream: {upstream.address}",
    )  # fmt: skip
    made.manifest("bottles", "silent", "supervise: false")
    made.manifest("agents", "shell", "bottle: dev\nprogram: [bash, -l]")
    made.manifest("agents", "silent", "bottle: silent\nprogram: [bash, -l]")
    yield made
    made.close()
    upstream.close()


def call(world: World, slug: str, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool from inside the bottle."""
    value = json.loads(world.run("exec", slug, "--", "sh", "-s", tool, json.dumps(arguments), stdin=SCRIPT))
    assert isinstance(value, dict)
    return value


def fetch(world: World, slug: str, url: str = URL) -> str:
    return world.run("exec", slug, "--", "curl", *BLOCKED, url)


def test_refused_asked_approved_passes_and_is_remembered(world: World) -> None:
    slug = world.start("shell")
    assert fetch(world, slug) == "403"
    ask = {
        "host": HOST,
        "scheme": "http",
        "methods": ["GET"],
        "paths": ["/private/"],
        "reason": "the data is there",
    }
    waiting = subprocess.Popen(
        world.argv("exec", slug, "--", "sh", "-s", "egress-block", json.dumps({**ask, "wait_s": 20})),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=world.environ, cwd=world.project,
    )  # fmt: skip
    assert waiting.stdin is not None
    waiting.stdin.write(SCRIPT.encode())
    waiting.stdin.close()
    line = until(lambda: world.run("approvals", "list").strip(), "the request in the operator's list")
    identifier = line.split("\t")[0]
    row = world.status(slug)
    assert (row["state"], row["open_proposals"]) == ("waiting", 1)
    assert f"asks for GET http://{HOST}:80 /private/" in row["reason"]

    world.run("approvals", "approve", identifier)
    assert waiting.stdout is not None
    answer = json.loads(waiting.stdout.read())
    assert waiting.wait() == 0
    assert (answer["id"], answer["status"]) == (identifier, "active")
    assert fetch(world, slug) == "200", "the tool returned before the route was in force"
    assert fetch(world, slug, f"http://{HOST}/other") == "403"
    assert world.status(slug)["open_proposals"] == 0

    world.run("stop", slug)
    world.run("resume", slug, "--detach")
    assert fetch(world, slug) == "200"
    decisions = [entry["reason"] for entry in world.audit(slug) if entry["sidecar"] == "supervise"]
    assert decisions == ["asked", "approved"]


def test_a_request_passes_within_a_second_of_approval(world: World) -> None:
    slug = world.start("shell")
    asked = call(world, slug, "egress-block", host=HOST, scheme="http", paths=["/private/"], reason="x")
    world.run("approvals", "approve", asked["id"])
    began = time.monotonic()
    until(lambda: fetch(world, slug) == "200", "the approved request")
    assert time.monotonic() - began < 2.0


def test_another_bottle_keeps_its_policy_and_service(world: World) -> None:
    first, second = world.start("shell"), world.start("shell")
    asked = call(world, first, "egress-block", host=HOST, scheme="http", paths=["/private/"], reason="x")
    flood = "head -c 100000 /dev/zero | curl -s -o /dev/null --data-binary @- http://supervise:9100/"
    world.run("exec", first, "--", "sh", "-c", f"for i in 1 2 3 4 5 6 7 8; do {flood}; done")
    world.run("approvals", "approve", asked["id"], "--persist")
    assert fetch(world, second) == "403"
    assert call(world, second, "wait-for-decision", id=asked["id"], wait_s=0)["status"] == "rejected"
    manifest = (world.config / "bottles" / "dev.md").read_text()
    assert "# ours" in manifest
    assert "paths: [/private/]" in manifest
    assert fetch(world, world.start("shell")) == "200"


def test_nothing_listens_without_supervise(world: World) -> None:
    slug = world.start("silent")
    assert "supervise" not in world.run("list", "active").split("\t")[3]
    done = world.try_run("exec", slug, "--", "curl", "-s", "--max-time", "5", "http://supervise:9100/")
    assert done.returncode != 0


def test_a_killed_service_comes_back_with_its_proposals(world: World) -> None:
    import os
    import signal

    slug = world.start("shell")
    asked = call(world, slug, "egress-block", host="new.example.com", reason="x")
    os.kill(world.report(slug)["services"]["supervise"]["pid"], signal.SIGKILL)
    until(lambda: world.report(slug)["services"]["supervise"]["restarts"] == 1, "the restart")
    assert call(world, slug, "wait-for-decision", id=asked["id"], wait_s=0)["status"] == "pending"


@pytest.mark.claude
def test_claude_code_is_connected_without_a_question(world: World) -> None:
    world.manifest("agents", "coder", "bottle: dev\nprogram: claude")
    slug = world.start("coder")
    listed = world.run("exec", slug, "--", "claude", "mcp", "list")
    (line,) = [line for line in listed.splitlines() if line.startswith("supervise:")]
    assert "http://supervise:9100/" in line
    assert "Connected" in line
    assert "egress-block" in world.run("exec", slug, "--", "cat", "/run/bottlemux/instructions")
