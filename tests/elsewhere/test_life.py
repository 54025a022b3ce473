"""Bottles on an engine that sees nothing of this machine, and what they are when the network or a process goes."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backends.docker import launcher, linking, shipping
from bottlemux.errors import BottlemuxError, NotFoundError, UnavailableError, UsageError
from bottlemux.state.liveness import is_alive, may_run_elsewhere, read_link, read_status
from tests.backends.world import World, git, until

from . import engines

if TYPE_CHECKING:
    from collections.abc import Callable

    from backends.contract import Bottle

pytestmark = [pytest.mark.docker, pytest.mark.sshd]


def link_of(world: World, bottle: Bottle) -> int:
    return int(read_link(world.paths.bottle(bottle.identity))["pid"])


def audit(world: World, bottle: Bottle) -> list[dict[str, Any]]:
    try:
        text = world.paths.bottle(bottle.identity).audit.read_text()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines()]


def blocked_hosts(world: World, bottle: Bottle) -> list[str]:
    return [line["host"] for line in audit(world, bottle)]


def ask(bottle: Bottle, host: str) -> None:
    bottle.exec(f"curl -sS -m 10 -o /dev/null http://{host}/")


def test_it_leaves_the_engine_as_it_was(world: World) -> None:
    before = engines.things(world.paths)
    bottle = world.launch(workspace="clone", directory=world.project(repository=True))
    described = engines.docker(
        "inspect", *[name for name in engines.things(world.paths) if bottle.identity in name]
    )
    assert str(world.root / "project") not in described, "a directory of this machine was mounted"
    bottle.close()
    left = [name for name in engines.things(world.paths) if name not in before]
    assert left == [f"bottlemux-{bottle.identity}-kept"]
    world.backend.discard(bottle.identity)
    assert engines.things(world.paths) == before


def test_what_the_sidecars_write_is_here(world: World) -> None:
    bottle = world.launch()
    ask(bottle, "one.example")
    until(lambda: "one.example" in blocked_hosts(world, bottle), "the record is here")
    assert (world.paths.bottle(bottle.identity).logs / "egress.log").read_text()
    status = read_status(world.paths.bottle(bottle.identity))
    assert status is not None
    assert {service.state for service in status.services.values()} == {"running"}
    ask(bottle, "last.example")
    bottle.close()
    assert "last.example" in blocked_hosts(world, bottle), "a stop loses no line of the record"


def test_the_link_is_killed(world: World) -> None:
    bottle = world.launch()
    ask(bottle, "one.example")
    until(lambda: "one.example" in blocked_hosts(world, bottle), "the record is here")
    os.kill(link_of(world, bottle), signal.SIGKILL)
    files = world.paths.bottle(bottle.identity)
    until(lambda: not is_alive(files), "its lock is free")
    assert may_run_elsewhere(files)
    assert bottle.identity in {one.slug for one in world.backend.enumerate_active()}
    assert world.backend.describe_cleanup(world.backend.prepare_cleanup()) == []
    bottle.exec("echo $$ > /tmp/kept")
    ask(bottle, "meanwhile.example")
    again = world.backend.recover(bottle.identity)
    assert again is not None
    assert again.exec("cat /tmp/kept").returncode == 0, "it was not started again"
    until(lambda: "meanwhile.example" in blocked_hosts(world, bottle), "nothing is missing in the record")
    assert blocked_hosts(world, bottle) == ["one.example", "meanwhile.example"], "nothing is there twice"


def test_the_network_goes_away_and_returns(world: World, network: engines.Sshd) -> None:
    bottle = world.launch()
    files = world.paths.bottle(bottle.identity)
    network.stop()
    until(lambda: (status := read_status(files)) and status.problem, "the report says so")
    status = read_status(files)
    assert status is not None
    assert "out of reach" in status.problem
    assert is_alive(files)
    (agent,) = [one for one in world.backend.enumerate_active() if one.slug == bottle.identity]
    assert agent.services == ()
    with pytest.raises(UnavailableError, match="nothing listens there"):
        world.backend.find(bottle.identity)
    with pytest.raises(UnavailableError):
        bottle.close()
    network.start()
    until(lambda: (status := read_status(files)) and not status.problem, "the report is right again")
    ask(bottle, "after.example")
    until(lambda: "after.example" in blocked_hosts(world, bottle), "the record goes on")


def test_its_containers_end(world: World) -> None:
    spec = world.spec()
    bottle = world.launch(world.backend.prepare(spec))
    bottle.exec("echo kept > ~/note")
    engines.docker("kill", f"bottlemux-{bottle.identity}", f"bottlemux-{bottle.identity}-sidecars")
    until(lambda: not is_alive(spec.files), "the link saw it")
    assert world.backend.recover(bottle.identity) is None
    again = world.launch(world.backend.prepare(replace(spec, resumed=True)))
    assert again.exec("cat ~/note").stdout == "kept\n"


@pytest.mark.parametrize(
    ("module", "step"),
    [(shipping, "ship"), (launcher, "_where"), (linking, "start")],
    ids=["files", "containers", "link"],
)
def test_a_launch_that_fails_half_way(
    world: World, monkeypatch: pytest.MonkeyPatch, module: object, step: str
) -> None:
    original: Callable[..., object] = getattr(module, step)

    def broken(*arguments: object, **named: object) -> None:
        original(*arguments, **named)
        raise BottlemuxError("broken on purpose")

    monkeypatch.setattr(module, step, broken)
    before = engines.things(world.paths)
    plan = world.plan()
    with pytest.raises(BottlemuxError, match="on purpose"):
        world.backend.launch(plan)
    assert engines.things(world.paths) == before
    assert not world.is_alive(plan.spec.identity)


def test_a_launch_that_loses_the_network_is_cleaned_up(
    world: World, network: engines.Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = launcher._where

    def cut(*arguments: Any) -> tuple[str, int]:
        found = original(*arguments)
        network.stop()
        return found

    monkeypatch.setattr(launcher, "_where", cut)
    before = engines.things(world.paths)
    plan = world.plan()
    with pytest.raises(BottlemuxError):
        world.backend.launch(plan)
    assert not world.is_alive(plan.spec.identity)
    network.start()
    left = [name for name in engines.things(world.paths) if name not in before]
    assert left
    leftovers = world.backend.prepare_cleanup()
    lines = "\n".join(world.backend.describe_cleanup(leftovers))
    assert {name for name in left if name not in lines} <= {f"bottlemux-{plan.spec.identity}-kept"}
    world.backend.cleanup(leftovers)
    world.backend.discard(plan.spec.identity)
    assert engines.things(world.paths) == before


def test_the_working_copy_comes_back(world: World) -> None:
    project = world.project(repository=True)
    spec = world.spec(workspace="clone", directory=project)
    bottle = world.launch(world.backend.prepare(spec))
    script = (
        "echo two >> file; git -c user.name=a -c user.email=a@b commit -qam second; mkdir -p d/e; echo x > d/e/f;"
        "ln -s /etc/shadow d/link; mkfifo d/pipe; rm -rf nothing; chmod 755 d/e/f"
    )
    assert bottle.exec(script).returncode == 0
    world.backend.bring_back(bottle.identity)
    work = spec.files.workspace
    assert git(work, "log", "--format=%s").splitlines() == ["second", "first"]
    assert (work / "d/e/f").read_text() == "x\n"
    assert (work / "d/e/f").stat().st_mode & 0o777 == 0o755
    assert (work / "d/link").readlink() == Path("/etc/shadow")
    assert not (work / "d/pipe").exists()
    before = (work / "d/e/f").stat()
    bottle.exec("rm -rf d/link; ln -s /etc d/e/dir; mv file renamed; rm d/pipe; echo more >> renamed")
    world.backend.bring_back(bottle.identity)
    assert (work / "d/e/f").stat().st_ino == before.st_ino, "what is unchanged is not sent again"
    assert not (work / "d/link").is_symlink()
    assert not (work / "file").exists()
    assert (work / "renamed").read_text() == "one\ntwo\nmore\n"
    bottle.close()
    world.backend.bring_back(bottle.identity)
    assert (work / "renamed").read_text() == "one\ntwo\nmore\n"


def test_an_engine_that_lost_what_it_kept(world: World) -> None:
    """The bottle starts again with what is here: a new home, and the working copy as it came back last."""
    spec = world.spec(workspace="clone", directory=world.project(repository=True))
    bottle = world.launch(world.backend.prepare(spec))
    bottle.exec("echo two >> file; echo kept > ~/note")
    world.backend.bring_back(bottle.identity)
    bottle.exec("echo three >> file")
    bottle.close()
    engines.docker("volume", "rm", f"bottlemux-{bottle.identity}-kept")
    again = world.launch(world.backend.prepare(replace(spec, resumed=True)))
    assert again.exec("cat file").stdout == "one\ntwo\n"
    assert again.exec("ls ~/note").returncode != 0


def test_no_mount_elsewhere(world: World) -> None:
    assert world.backend.workspaces == ("clone", "copy")


def test_a_bottle_that_is_discarded_does_not_come_back(world: World) -> None:
    bottle = world.launch()
    bottle.close()
    world.backend.discard(bottle.identity)
    with pytest.raises((NotFoundError, UsageError)):
        world.backend.find(bottle.identity)
