"""Claude Code is refused, asks, is approved by the operator, and goes on by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.fake_api import HOST as API_HOST
from tests.e2e.fake_api import FakeApi, Text, ToolUse
from tests.e2e.world import World, until
from tests.egress.support import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux, pytest.mark.claude]

HOST = "files.example.com"
FETCH = ToolUse(
    "Bash", {"command": f"curl -s -o /dev/null -w 'status %{{http_code}}' http://{HOST}/private/x"}
)
# Waits for servers that are still connecting, as a model is told to.
FIND = ToolUse("ToolSearch", {"query": "select:mcp__supervise__egress-block"})
ASK = ToolUse(
    "mcp__supervise__egress-block",
    {"host": HOST, "scheme": "http", "methods": ["GET"], "paths": ["/private/"], "reason": "the data is there",
     "wait_s": 50},
)  # fmt: skip


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeApi]:
    server = FakeApi(tmp_path)
    yield server
    server.close()


@pytest.fixture
def world(tmp_path: Path, api: FakeApi) -> Iterator[World]:
    upstream = Upstream(tmp_path)
    made = World(tmp_path / "user")
    made.manifest(
        "bottles", "dev",
        f"egress:\n  routes:\n    - {{host: {HOST}, scheme: http, paths: [/public/], upstream: {upstream.address}}}\n"
        f"    - {{host: {API_HOST}, token_ref: CLAUDE_CODE_OAUTH_TOKEN, upstream: '{api.address}', "
        f"upstream_ca: {api.ca_file}}}",
    )  # fmt: skip
    made.manifest("agents", "coder", "bottle: dev\nprogram: claude")
    yield made
    made.close()
    upstream.close()


def test_is_refused_asks_is_approved_and_goes_on(world: World, api: FakeApi) -> None:
    api.script([FETCH, FIND, ASK, FETCH, Text("All-fetched-now.")])
    slug = world.start("coder", "--prompt=Fetch it.", CLAUDE_CODE_OAUTH_TOKEN="sk-ant-oat01-test")
    line = until(lambda: world.run("approvals", "list").strip(), "what Claude Code asks for")
    identifier, asking, kind = line.split("\t")[:3]
    assert (asking, kind) == (slug, "egress")
    assert world.status(slug)["state"] == "waiting"
    world.run("approvals", "approve", identifier)
    until(lambda: "All-fetched-now." in world.pane(slug), "the end of its task")
    told = "\n".join(api.turns()[-1].texts("user"))
    assert "status 403" in told
    assert f'"id": "{identifier}", "status": "active"' in told
    assert "status 200" in told
