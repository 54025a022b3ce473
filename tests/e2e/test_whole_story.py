"""From a tight bottle to a lost machine and back, with Claude Code: refused, asking, allowed, rebuilt, resumed."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from backends.docker.containers import ensure_outside
from backends.docker.endpoint import find_endpoint
from backends.docker.engine import Engine
from backends.docker.names import OUTSIDE_NETWORK
from tests.e2e.fake_api import HOST as API_HOST
from tests.e2e.fake_api import FakeApi, Text, ToolUse
from tests.e2e.test_claude import TOKEN, conversation, submit
from tests.e2e.test_rebuilding import approve_in_palette, panes
from tests.e2e.test_whole_workspace import lose_everything, windows
from tests.e2e.world import World, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.docker, pytest.mark.bwrap, pytest.mark.tmux, pytest.mark.claude]

HOST = "files.example.com"
FETCH = ToolUse(
    "Bash", {"command": f"curl -s -o /dev/null -w 'status %{{http_code}}' http://{HOST}/private/x"}
)
FIND = ToolUse(
    "ToolSearch", {"query": "select:mcp__supervise__egress-block,mcp__supervise__capability-block"}
)
ASK_ROUTE = ToolUse(
    "mcp__supervise__egress-block",
    {"host": HOST, "scheme": "http", "paths": ["/private/"], "reason": "the data is there", "wait_s": 50},
)
ASK_TOOL = ToolUse(
    "mcp__supervise__capability-block", {"packages": ["hello"], "reason": "it is missing", "wait_s": 280}
)
USE_TOOL = ToolUse("Bash", {"command": "hello"})


class _Files(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def gateway() -> str:
    """Where the sidecars' containers see this machine."""
    engine = Engine(find_endpoint())
    ensure_outside(engine)
    return str(engine.api.inspect_network(OUTSIDE_NETWORK)["IPAM"]["Config"][0]["Gateway"])


@pytest.fixture
def api(tmp_path: Path, gateway: str) -> Iterator[FakeApi]:
    server = FakeApi(tmp_path, gateway)
    yield server
    server.close()


@pytest.fixture
def files(gateway: str) -> Iterator[str]:
    server = ThreadingHTTPServer((gateway, 0), _Files)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"{gateway}:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def story(world: World, api: FakeApi, files: str) -> World:
    world.use_engine()
    for backend in ("docker", "bubblewrap"):
        world.manifest(
            "bottles", backend,
            f"backend: {backend}\negress:\n  routes:\n"
            f"    - {{host: {HOST}, scheme: http, paths: [/public/], upstream: '{files}'}}\n"
            f"    - {{host: {API_HOST}, token_ref: CLAUDE_CODE_OAUTH_TOKEN, upstream: '{api.address}', "
            f"upstream_ca: {api.ca_file}}}",
        )  # fmt: skip
        world.manifest("agents", f"in-{backend}", f"bottle: {backend}\nprogram: claude")
    return world


def asked(world: World, slug: str, kind: str) -> str:
    """Return the id of what Claude Code asks for."""
    line = until(lambda: world.run("approvals", "list").strip(), f"a proposal of kind {kind}")
    identifier, asking, found = line.split("\t")[:3]
    assert (asking, found) == (slug, kind)
    return identifier


def told(api: FakeApi) -> str:
    return "\n".join(api.turns()[-1].texts("user"))


def test_whole_story(story: World, api: FakeApi) -> None:
    api.script([Text("Beside-it.")])
    other = story.start("in-bubblewrap", "--prompt=Wait beside it.", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    story.wait_for_text(other, "Beside-it.")
    api.script([FETCH, FIND, ASK_ROUTE, FETCH, ASK_TOOL, USE_TOOL, Text("All-done-now.")])
    slug = story.start("in-docker", "--prompt=Fetch it.", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    asked(story, slug, "egress")
    approve_in_palette(story, "Approve it?")

    identifier = until(
        lambda: next(
            (
                line.split("\t")[0]
                for line in story.run("approvals", "list").splitlines()
                if "capability" in line
            ),
            "",
        ),
        "what it asks for next",
    )
    assert "status 403" in told(api)
    assert "status 200" in told(api)
    place = panes(story, slug)[0].split(" ")[:2]
    story.run("approvals", "approve", identifier, CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    story.wait_for_text(slug, "All-done-now.")
    assert "Hello, world!" in told(api)
    # The program shows an answer a moment before it writes it down; what it had not written goes with it.
    until(lambda: "All-done-now." in conversation(story, slug), "the conversation on disk")
    assert "Fetch it." in told(api), "it is another conversation"
    assert panes(story, slug)[0].split(" ")[:2] == place

    order = windows(story)
    story.tmux("kill-server")
    lose_everything(story)
    containers = [f"bottlemux-{slug}", f"bottlemux-{slug}-sidecars"]
    subprocess.run(["docker", "kill", *containers], check=False, capture_output=True, timeout=60)
    until(lambda: story.run("list", "active") == "", "the end of every bottle")

    said = story.run("resume", "--all", "--detach", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    assert sorted(said.splitlines()) == sorted(f"{each}: started again" for each in (slug, other))
    assert windows(story) == order
    story.wait_for_text(slug, "All-done-now.")
    story.wait_for_text(other, "Beside-it.")
    assert story.run("exec", slug, "--", "hello") == "Hello, world!\n"
    count = len(api.turns())
    submit(story, slug, "and then?")
    until(lambda: len(api.turns()) > count, "its next turn")
    assert "Fetch it." in told(api)
