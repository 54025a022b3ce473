"""git push from a bottle elsewhere: by its gate there, over real ssh, with a key that is on no disk there."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from backends.docker.containers import ensure_outside
from backends.docker.engine import Engine
from backends.docker.names import OUTSIDE_NETWORK, sidecars_container
from tests.backends.world import World, git, until
from tests.git_gate.conftest import Sshd, configure, user_name

from . import engines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backends.contract import Bottle

pytestmark = [pytest.mark.docker, pytest.mark.sshd]


@pytest.fixture
def host(network: engines.Sshd, tmp_path: Path) -> Iterator[Sshd]:
    """A git host that the sidecars of the engine elsewhere reach."""
    engine = Engine(f"unix://{engines.far_socket()}")
    ensure_outside(engine)
    gateway = engine.api.inspect_network(OUTSIDE_NETWORK)["IPAM"]["Config"][0]["Gateway"]
    server = configure(tmp_path, gateway)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def upstream(world: World, tmp_path: Path) -> Path:
    """A repository of the git host, with what the operator's project has."""
    path = tmp_path / "repo.git"
    git(tmp_path, "init", "-q", "--bare", str(path))
    git(world.project(repository=True), "push", "-q", str(path), "main")
    return path


@pytest.fixture
def bottle(world: World, host: Sshd, upstream: Path) -> Iterator[Bottle]:
    remote = {
        "name": "origin", "upstream": url(host, upstream), "identity_file": str(host.identity),
        "known_host_key": host.host_key, "branches": ["bottlemux/*"],
    }  # fmt: skip
    world.write_bottle("dev", f"git: [{json.dumps(remote)}]")
    try:
        yield world.launch(workspace="clone", directory=world.project(repository=True))
    finally:
        world.write_bottle("dev", "")


def url(host: Sshd, upstream: Path) -> str:
    return f"ssh://{user_name()}@{host.address}:{host.port}{upstream}"


def decisions(world: World, bottle: Bottle) -> list[tuple[str, str]]:
    """Return what the gate decided, by the record here."""
    text = world.paths.bottle(bottle.identity).audit.read_text()
    lines = [line for line in map(json.loads, text.splitlines()) if line["sidecar"] == "git-gate"]
    return [(line["decision"], line["reason"]) for line in lines]


def test_a_push_arrives_and_one_that_may_not_does_not(
    world: World, bottle: Bottle, host: Sshd, upstream: Path
) -> None:
    commit = "echo two >> file && git -c user.name=a -c user.email=a@b commit -qam second"
    push = f"git push {url(host, upstream)} HEAD:refs/heads/"
    done = bottle.exec(f"{commit} && {push}bottlemux/work")
    assert done.returncode == 0, done.stderr
    assert git(upstream, "log", "-1", "--format=%s", "bottlemux/work") == "second\n"

    refused = bottle.exec(f"{push}main")
    assert refused.returncode != 0
    assert "main" in refused.stderr
    assert git(upstream, "log", "-1", "--format=%s", "main") == "first\n"
    until(lambda: len(decisions(world, bottle)) > 2, "both are on record here")
    assert decisions(world, bottle) == [
        ("allow", "checked"),
        ("allow", "pushed"),
        ("block", "ref-not-allowed"),
    ]
    assert_key_on_no_disk(bottle, host)


def assert_key_on_no_disk(bottle: Bottle, host: Sshd) -> None:
    """Look where the engine keeps things: volumes, and what it knows of containers. The gate had it in memory."""
    secret = host.identity.read_text().splitlines()[-2]
    names = [
        name
        for name in engines.docker("ps", "-a", "--format", "{{.Names}}").split()
        if bottle.identity in name
    ]
    assert sidecars_container(bottle.identity) in names
    assert secret not in engines.docker("inspect", *names)
    volumes = [name for name in engines.docker("volume", "ls", "-q").split() if bottle.identity in name]
    assert volumes
    for place in engines.docker("volume", "inspect", "-f", "{{.Mountpoint}}", *volumes).split():
        assert subprocess.run(["grep", "-rqF", secret, place]).returncode == 1, "a file there has the key"
    assert bottle.exec(f"grep -rqF {secret} /tmp /run /workspace ~ 2>/dev/null").returncode == 1
