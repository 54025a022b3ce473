"""gVisor where an engine has it, and never without it where the user's settings say so."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from backends.docker import names, walls
from backends.docker.images import own_source
from backends.docker.runtime import GVISOR, choose
from bottlemux.errors import UnavailableError
from tests.backends.world import World
from tests.e2e.world import World as User
from tests.elsewhere import engines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .spare import Spare

pytestmark = [pytest.mark.docker, pytest.mark.sshd]

REQUIRED = '[docker]\ngvisor = "required"\n'
LOCAL, ELSEWHERE = "unix:///x.sock", "context://x"
WITH, WITHOUT = {"Runtimes": {"runc": {}, GVISOR: {}}}, {"Runtimes": {"runc": {}}}


@pytest.mark.parametrize(
    ("facts", "endpoint", "is_root", "chosen", "refusal"),
    [
        (WITH, LOCAL, False, GVISOR, ""),
        (WITH, LOCAL, True, "", "bottles of root"),
        (WITH, ELSEWHERE, True, GVISOR, ""),
        (WITHOUT, LOCAL, False, "", "has no runtime 'runsc'"),
        (WITHOUT, LOCAL, True, "", "bottles of root"),
        (WITHOUT, ELSEWHERE, True, "", "the context 'x' has no runtime 'runsc'"),
        ({}, ELSEWHERE, False, "", "has no runtime 'runsc'"),
    ],
)
def test_where_it_is_used_and_where_its_lack_is_refused(
    facts: dict[str, Any],
    endpoint: str,
    is_root: bool,
    chosen: str,
    refusal: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(walls, "can_be_built", lambda: is_root)
    assert choose(facts, endpoint, needs_gvisor=False) == chosen
    if not refusal:
        assert choose(facts, endpoint, needs_gvisor=True) == chosen
        return
    with pytest.raises(UnavailableError, match=refusal) as caught:
        choose(facts, endpoint, needs_gvisor=True)
    assert caught.value.hint


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[engines.Sshd]:
    """Have contexts for the tests' own engine, which does not have it."""
    with engines.contexts(tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def spare_network(spare: Spare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[engines.Sshd]:
    """Have contexts for an engine that has it, as far as it knows."""
    monkeypatch.setenv("BOTTLEMUX_FAR_ENGINE", spare.endpoint)
    with engines.contexts(tmp_path, monkeypatch) as server:
        yield server


@pytest.mark.usefixtures("spare_network")
def test_a_bottle_runs_in_it(spare: Spare, tmp_path: Path) -> None:
    world = World(tmp_path / "world", f"docker@{engines.SSH}")
    world.paths.config_file.write_text(REQUIRED)
    world.write_bottle("dev", f"image: {own_source(names.SIDECARS).tag}")
    plan = world.plan()
    shown: list[str] = []
    plan.print(shown.append)
    assert any("runsc (gVisor)" in line for line in shown)
    try:
        bottle = world.launch(plan)
        agent = spare.docker(
            "inspect", "-f", "{{.HostConfig.Runtime}}", names.agent_container(bottle.identity)
        )
        assert agent == f"{GVISOR}\n"
        assert bottle.exec("echo in").stdout == "in\n"
    finally:
        world.close()


@pytest.mark.skipif(os.getuid() != 0, reason="an ordinary user's local bottles may run in it")
def test_a_bottle_of_root_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    assert "the bottles of root on this machine cannot run in it" in refused(tmp_path, "docker")


@pytest.mark.usefixtures("network")
def test_an_engine_without_it_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    assert f"the context '{engines.TLS}' has no runtime 'runsc'" in refused(tmp_path, f"docker@{engines.TLS}")
    one_of = refused(tmp_path / "any", "docker@any", f'engines = ["{engines.TLS}", "{engines.GONE}"]\n')
    assert f"no engine can be used ({engines.TLS}: gVisor is required" in one_of


def refused(directory: Path, backend: str, more: str = "") -> str:
    """Start a bottle that is refused, and return the one line that says why."""
    user = User(directory / "operator")
    user.use_engine()
    user.environ["PATH"] = os.environ["PATH"]
    (user.config / "config.toml").write_text(REQUIRED + more)
    user.manifest("bottles", "plain", "")
    user.manifest("agents", "shell", "bottle: plain\nprogram: [bash, -l]")
    before = containers()
    try:
        done = user.try_run("start", "shell", "--backend", backend, "--yes", "--detach")
    finally:
        user.close()
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert [line.partition(": ")[0] for line in lines[:1]] == ["bottlemux"], lines
    assert not any((user.state / "bottles").glob("*"))
    assert containers() == before
    return lines[0]


def containers() -> bytes:
    return subprocess.run(["docker", "ps", "-aq"], capture_output=True, check=True).stdout
