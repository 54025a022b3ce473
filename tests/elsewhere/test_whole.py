"""Everything a user does, over ssh, with Claude Code in a bottle on an engine elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from backends.docker.containers import ensure_outside
from backends.docker.engine import Engine
from backends.docker.names import OUTSIDE_NETWORK
from bottlemux.paths import Paths
from tests.approvals.mcp_call import SCRIPT
from tests.backends.world import git
from tests.e2e.conftest import with_coder
from tests.e2e.fake_api import FakeApi, Text, ToolUse
from tests.e2e.test_claude import ANSWER, TOKEN, last_turn, submit
from tests.e2e.world import World, processes, until

from . import engines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.docker, pytest.mark.sshd, pytest.mark.tmux, pytest.mark.claude]

_VARIABLES = ("DOCKER_CONFIG", "BOTTLEMUX_BASE_IMAGE", "BOTTLEMUX_BUILD_CA")


@pytest.fixture
def api(tmp_path: Path, network: engines.Sshd) -> Iterator[FakeApi]:
    """Listen where the sidecars of the engine elsewhere reach it."""
    engine = Engine(f"unix://{engines.far_socket()}")
    ensure_outside(engine)
    facts = engine.api.inspect_network(OUTSIDE_NETWORK)
    server = FakeApi(tmp_path, facts["IPAM"]["Config"][0]["Gateway"])
    yield server
    server.close()


@pytest.fixture
def user(tmp_path: Path, api: FakeApi) -> Iterator[World]:
    made = World(tmp_path / "user")
    made.environ |= {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    made.environ["PATH"] = os.environ["PATH"]
    with_coder(made, api, "docker@any")
    (made.config / "config.toml").write_text(f'[docker]\nengines = ["{engines.GONE}", "{engines.SSH}"]\n')
    git(made.project, "init", "-q", "-b", "main")
    (made.project / "file").write_text("one\n")
    git(made.project, "add", ".")
    git(made.project, "commit", "-q", "-m", "first")
    yield made
    for path in made.bottle("x").parent.glob("*-?????"):
        made.try_run("stop", path.name)
        made.try_run("rm", path.name)
    made.close()


def paths_of(user: World) -> Paths:
    return Paths(user.config, user.state, user.state / "run")


def test_a_day_with_an_agent_elsewhere(user: World, api: FakeApi) -> None:
    commit = "echo two >> file; git -c user.name=a -c user.email=a@b commit -qam second; curl -s https://example.com/"
    api.script([ToolUse("Bash", {"command": commit, "description": "work"}), Text(ANSWER)])
    slug = user.start("coder", "--prompt=do it", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    user.wait_for_text(slug, ANSWER)

    assert {request.headers["authorization"] for request in api.requests} == {f"Bearer {TOKEN}"}
    assert user.run("list", "active").startswith(f"docker@{engines.SSH}\t{slug}\tcoder\tegress,supervise")
    assert user.status(slug)["backend"] == f"docker@{engines.SSH}"
    assert_token_nowhere(user, slug)
    until(lambda: [one for one in user.audit(slug) if one["decision"] == "block"], "the record of the block")
    (blocked,) = [one for one in user.audit(slug) if one["decision"] == "block"]
    assert (blocked["host"], blocked["reason"]) == ("example.com", "host-not-allowed")

    assert "+two" in user.run("diff", slug)
    assert "second" in user.run("fetch", slug)
    assert git(user.project, "show", f"bottlemux/{slug}:file") == "one\ntwo\n"
    assert (user.project / "file").read_text() == "one\n"

    assert user.run("exec", slug, "--", "claude", "-p", "a question beside it").strip() == "Done."
    user.run("stop", slug)
    assert user.status(slug)["state"] == "exited"
    assert engines.things(paths_of(user)) == [f"bottlemux-{slug}-kept"]
    user.run("resume", slug, "--detach", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    user.wait_for_text(slug, ANSWER)
    assert user.run("exec", slug, "--", "cat", "file") == "one\ntwo\n"
    submit(user, slug, "and the second task")
    heard = last_turn(api, 4).texts("user")
    assert "and the second task" in heard[-1]
    assert "do it" in "\n".join(heard)
    assert "a question beside it" not in "\n".join(heard)

    user.run("stop", slug)
    user.run("rm", slug)
    assert engines.things(paths_of(user)) == []
    # All bottles of an engine share a network to the outside, and this was the last one.
    assert f"network {OUTSIDE_NETWORK}" in user.run("cleanup", "--yes")
    assert "nothing to clean up" in user.run("cleanup", "--yes")


def assert_token_nowhere(user: World, slug: str) -> None:
    holders = [process.pid for process in processes() if TOKEN.encode() in process.environ + process.cmdline]
    assert not holders, "a process on a machine has the token in its environment or arguments"
    described = engines.docker("inspect", *engines.things(paths_of(user)))
    assert slug in described
    assert TOKEN not in described
    seen = user.run("exec", slug, "--", "sh", "-c", "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'")
    assert "CLAUDE_CODE_OAUTH_TOKEN=" in seen
    assert TOKEN not in seen
    for volume in engines.docker("volume", "inspect", *_volumes(user), "--format", "{{.Mountpoint}}").split():
        found = subprocess.run(["grep", "-rqF", TOKEN, volume], capture_output=True)
        assert found.returncode == 1, "a file on the engine's disk has the token"
    for path in user.home.parent.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert TOKEN.encode() not in path.read_bytes(), path


def _volumes(user: World) -> list[str]:
    return [name for name in engines.things(paths_of(user)) if name.endswith(("-kept", "-brought"))]


def test_what_is_asked_there_is_decided_here(user: World, api: FakeApi) -> None:
    user.manifest("agents", "shell", "bottle: api\nprogram: [bash, -l]")
    slug = user.start("shell", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    asked = json.dumps({"host": "new.example.com", "scheme": "http", "reason": "data", "wait_s": 60})
    waiting = subprocess.Popen(
        user.argv("exec", slug, "--", "sh", "-s", "egress-block", asked),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=user.environ, cwd=user.project,
    )  # fmt: skip
    assert waiting.stdin is not None
    waiting.stdin.write(SCRIPT.encode())
    waiting.stdin.close()
    line = until(lambda: user.run("approvals", "list").strip(), "the request in the operator's list")
    assert until(lambda: user.status(slug)["state"] == "waiting", "it waits")
    user.run("approvals", "approve", line.split("\t")[0])
    assert waiting.stdout is not None
    answer = json.loads(waiting.stdout.read())
    assert answer["status"] == "active"
    routes = user.run("exec", slug, "--", "curl", "-s", "http://_egress.local/routes")
    assert "new.example.com" in routes, "the tool returned before the route was in force"
    reasons = [one["reason"] for one in user.audit(slug) if one["sidecar"] == "supervise"]
    assert reasons == ["asked", "approved"]


def test_a_dead_engine_breaks_no_listing(user: World, network: engines.Sshd) -> None:
    user.manifest("agents", "shell", "bottle: api\nprogram: [bash, -l]")
    slug = user.start("shell", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    listed = user.run("list", "backends")
    assert f"docker@{engines.GONE}\tunavailable" in listed
    assert f"docker@{engines.SSH}\tavailable" in listed
    network.stop()
    try:
        until(lambda: "out of reach" in user.status(slug)["reason"], "status says it")
        assert user.run("list", "active").split("\t")[:2] == [f"docker@{engines.SSH}", slug]
        done = user.try_run("diff", slug)
        assert done.returncode == 3
        assert "nothing listens there" in done.stderr
        assert "Traceback" not in done.stderr
        done = user.try_run("start", "shell", "--yes", "--detach", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
        assert done.returncode == 3
        assert "no engine can be used" in done.stderr
    finally:
        network.start()
    until(lambda: "out of reach" not in user.status(slug)["reason"], "it is in reach again")


def test_it_moves_to_another_engine_and_leaves_nothing(user: World, api: FakeApi) -> None:
    user.manifest("agents", "shell", "bottle: api\nprogram: [bash, -l]")
    slug = user.start("shell", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    user.run("exec", slug, "--", "sh", "-c", "echo kept > ~/note; echo changed > file")
    user.run("stop", slug)
    user.run("resume", slug, "--detach", "--backend", f"docker@{engines.TLS}", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    assert user.status(slug)["backend"] == f"docker@{engines.TLS}"
    assert user.run("exec", slug, "--", "sh", "-c", "cat ~/note file") == "kept\nchanged\n"
    user.run("stop", slug)
    context = user.environ["DOCKER_CONFIG"]
    done = user.try_run("rm", slug, DOCKER_CONFIG=str(user.home))
    assert done.returncode == 0, done.stderr
    assert engines.things(paths_of(user)) == [f"bottlemux-{slug}-kept"], "the context was gone: nobody to ask"
    assert f"volume bottlemux-{slug}-kept" in user.run("cleanup", "--yes", DOCKER_CONFIG=context)
    assert engines.things(paths_of(user)) == []


def test_mount_is_refused_with_what_to_use(user: World) -> None:
    done = user.try_run(
        "start", "coder", "--workspace", "mount", "--yes", "--detach", CLAUDE_CODE_OAUTH_TOKEN=TOKEN
    )
    assert done.returncode == 2
    assert "use clone, copy" in done.stderr
    assert engines.things(paths_of(user)) == []
