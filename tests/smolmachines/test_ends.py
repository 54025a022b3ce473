"""How bottles in machines end, on purpose or not, and what is then found of them: with a stand-in for smolvm."""

from __future__ import annotations

import os
import signal
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest

from backends.smolmachines import backend as module
from backends.smolmachines import keeper, names, tool
from bottlemux.errors import BottlemuxError
from bottlemux.lifecycle import usage
from bottlemux.state.liveness import RuntimeStatus, read_status
from tests.backends.world import World, until
from tests.smolmachines.standin import WEIGHT_MIB, StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backends.contract import Bottle, BottleSpec

ODD = ["unreachable", "frozen", "paused"]
AT_REST = ["created", "stopped", "failed"]


@pytest.fixture
def smolvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    made = StandIn(tmp_path / "smolvm")
    monkeypatch.setattr(tool, "find", lambda: made.program)
    monkeypatch.setattr(module, "_check_machine", lambda: made.program)
    yield made
    made.end()


@pytest.fixture
def world(tmp_path: Path, smolvm: StandIn) -> Iterator[World]:
    image = tmp_path / "image"
    for name in ("bin/sh", "usr/bin/python3"):
        (image / name).parent.mkdir(parents=True)
        (image / name).touch()
    made = World(tmp_path / "w", "smolmachines")
    made.write_bottle("dev", f"image: {image}\nresources: {{cpus: 1, memory: 768m}}")
    yield made
    made.close()
    made.end_zygotes()


def name_of(world: World, bottle: Bottle) -> str:
    return names.machine_name(world.paths, bottle.identity)


def listed(world: World, bottle: Bottle) -> tuple[str, ...]:
    (found,) = [one for one in world.backend.enumerate_active() if one.slug == bottle.identity]
    return found.services


def status_of(world: World, bottle: Bottle) -> RuntimeStatus:
    found = read_status(world.paths.bottle(bottle.identity))
    assert found is not None
    return found


def keeper_of(world: World, bottle: Bottle) -> int:
    (found,) = [
        child.pid
        for child in psutil.Process(status_of(world, bottle).supervisor_pid).children()
        if "backends.smolmachines.keeper" in child.cmdline()
    ]
    return found


def lines(world: World) -> list[str]:
    return list(world.backend.describe_cleanup(world.backend.prepare_cleanup()))


class TestClosing:
    @pytest.mark.parametrize("state", ODD)
    def test_ends_a_machine_in_an_odd_state(self, world: World, smolvm: StandIn, state: str) -> None:
        bottle = world.backend._bottle(world.spec(workspace="copy").identity)
        smolvm.add(name_of(world, bottle), state=state)
        bottle.close()
        assert smolvm.machine(name_of(world, bottle))["state"] == "stopped"

    @pytest.mark.parametrize("state", AT_REST)
    def test_leaves_one_at_rest(self, world: World, smolvm: StandIn, state: str) -> None:
        bottle = world.backend._bottle(world.spec(workspace="copy").identity)
        smolvm.add(name_of(world, bottle), state=state)
        bottle.close()
        assert smolvm.calls == ["ls"]


class TestCleanup:
    @pytest.mark.parametrize("state", ODD)
    def test_ends_a_machine_in_an_odd_state(self, world: World, smolvm: StandIn, state: str) -> None:
        identity = world.spec(workspace="copy").identity
        name = names.machine_name(world.paths, identity)
        smolvm.add(name, state=state, labels=names.labels(world.paths, identity))
        assert lines(world) == [f"machine {name} that runs without its bottle"]
        world.backend.cleanup(world.backend.prepare_cleanup())
        assert lines(world) == []

    @pytest.mark.parametrize("state", AT_REST)
    def test_leaves_one_at_rest(self, world: World, smolvm: StandIn, state: str) -> None:
        identity = world.spec(workspace="copy").identity
        smolvm.add("m", state=state, labels=names.labels(world.paths, identity))
        assert lines(world) == []


class TestFailedStart:
    def fail(self, world: World, smolvm: StandIn, verbs: str, spec: BottleSpec) -> None:
        smolvm.fails.write_text(verbs)
        with pytest.raises(BottlemuxError, match=f"machine {verbs.partition(' ')[0]}: disk I/O error"):
            world.launch(world.backend.prepare(spec))

    def test_of_a_new_bottle_leaves_no_machine(
        self, world: World, smolvm: StandIn, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.fail(world, smolvm, "start", world.spec(workspace="copy"))
        assert smolvm.names() == []
        assert "is left" not in capsys.readouterr().err

    def test_of_one_brought_back_keeps_its_machine(
        self, world: World, smolvm: StandIn, capsys: pytest.CaptureFixture[str]
    ) -> None:
        spec = world.spec(workspace="copy")
        world.launch(world.backend.prepare(spec)).close()
        self.fail(world, smolvm, "start", replace(spec, resumed=True))
        assert smolvm.machine(*smolvm.names())["state"] == "stopped"
        assert "is left" not in capsys.readouterr().err

    def test_of_one_brought_back_whose_machine_is_gone_claims_nothing(
        self, world: World, smolvm: StandIn, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.fail(world, smolvm, "create", world.spec(workspace="copy", resumed=True))
        assert "is left" not in capsys.readouterr().err

    def test_tells_what_it_cannot_remove(
        self, world: World, smolvm: StandIn, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.fail(world, smolvm, "start delete", world.spec(workspace="copy"))
        told = f"the machine {smolvm.names()[0]} is left: smolvm machine delete: disk I/O error"
        assert told in capsys.readouterr().err


class TestStarting:
    """Each call of smolvm takes as long as an interpreter's start, and the operator waits for it."""

    def test_a_new_bottle_takes_two_calls(self, world: World, smolvm: StandIn) -> None:
        world.launch(workspace="copy")
        assert smolvm.calls == ["create", "start"]

    def test_a_boot_that_stalls_is_tried_once_more(self, world: World, smolvm: StandIn) -> None:
        smolvm.stalls.touch()
        world.launch(workspace="copy")
        assert smolvm.calls == ["create", "start", "start"]

    def test_one_brought_back_starts_its_machine(self, world: World, smolvm: StandIn) -> None:
        spec = world.spec(workspace="copy")
        world.launch(world.backend.prepare(spec)).close()
        before = len(smolvm.calls)
        world.launch(world.backend.prepare(replace(spec, resumed=True)))
        assert smolvm.calls[before:] == ["ls", "start"]

    @pytest.mark.parametrize("state", ODD)
    def test_one_brought_back_ends_what_is_left_first(
        self, world: World, smolvm: StandIn, state: str
    ) -> None:
        spec = world.spec(workspace="copy")
        world.launch(world.backend.prepare(spec)).close()
        smolvm.set_state(names.machine_name(world.paths, spec.identity), state)
        before = len(smolvm.calls)
        world.launch(world.backend.prepare(replace(spec, resumed=True)))
        assert smolvm.calls[before:] == ["ls", "stop", "start"]

    def test_one_that_is_not_made_ready_says_why(self, world: World, smolvm: StandIn) -> None:
        smolvm.says.write_text("a program cannot be \x1b[31mconfined\n")
        with pytest.raises(BottlemuxError, match="what makes a bottle of it: a program cannot be") as caught:
            world.launch(workspace="copy")
        assert "\x1b" not in str(caught.value)
        assert smolvm.names() == []

    def test_one_that_says_nothing_is_given_up(
        self, boot: keeper.Boot, smolvm: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        smolvm.says.touch()
        monkeypatch.setattr(keeper, "READY_TIMEOUT_S", 0.1)
        with pytest.raises(BottlemuxError, match="it does not start"):
            boot._boot()

    @pytest.mark.parametrize("said", [b"", b"not ready", b"x" * 100_000])
    def test_anything_but_ready_is_not_ready(self, said: bytes) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            sender = threading.Thread(target=lambda: (theirs.sendall(said), theirs.close()))
            sender.start()
            assert keeper._read_report(ours) != keeper.READY
            ours.close()
            sender.join()

    @pytest.fixture
    def boot(self, smolvm: StandIn, tmp_path: Path) -> keeper.Boot:
        sockets = {str(tmp_path / "k"): "/run/bottlemux-sockets/keeper.sock"}
        orders = keeper.Orders(
            smolvm.program, "m", False, "", {}, sockets, {}, str(tmp_path / "k"), ["true"], 1, 768
        )
        return keeper.Boot(tool.Smolvm(smolvm.program), orders)

    def test_no_boot_begins_once_the_end_is_wanted(self, boot: keeper.Boot, smolvm: StandIn) -> None:
        boot.ending.set()
        with pytest.raises(BottlemuxError, match="its end is wanted"):
            boot._boot()
        assert smolvm.calls == ["create"]


class TestRunning:
    def test_a_machine_that_stands_still_is_listed_so_and_ends(self, world: World, smolvm: StandIn) -> None:
        bottle = world.launch(workspace="copy")
        os.kill(smolvm.machine(name_of(world, bottle))["pid"], signal.SIGSTOP)
        until(lambda: "machine unreachable" in listed(world, bottle), "the state is listed")
        bottle.close()
        assert smolvm.machine(name_of(world, bottle))["pid"] is None

    def test_what_its_machine_takes_is_counted(self, world: World, smolvm: StandIn) -> None:
        bottle = world.launch(workspace="copy")
        pid = smolvm.machine(name_of(world, bottle))["pid"]
        until(lambda: status_of(world, bottle).init_pid == pid, "the monitor is known")
        status = status_of(world, bottle)
        found = usage.measure({"with": status, "without": replace(status, init_pid=None)})
        more = (found["with"].memory_bytes or 0) - (found["without"].memory_bytes or 0)
        assert more >= WEIGHT_MIB << 20

    def test_a_process_that_lets_nobody_look_is_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(process: psutil.Process) -> None:
            raise psutil.AccessDenied(process.pid)

        monkeypatch.setattr(psutil.Process, "memory_full_info", refuse)
        own = RuntimeStatus(os.getpid(), 1, "2020-01-01T00:00:00.000Z", "smolmachines")
        assert usage.measure({"own": own})["own"].memory_bytes

    @pytest.mark.parametrize("state", ["frozen", "paused", "failed"])
    def test_an_odd_state_is_listed_as_it_is(self, world: World, smolvm: StandIn, state: str) -> None:
        bottle = world.launch(workspace="copy")
        smolvm.set_state(name_of(world, bottle), state)
        assert listed(world, bottle)[-1] == f"machine {state}"

    def test_a_killed_monitor_ends_its_bottle(self, world: World, smolvm: StandIn) -> None:
        bottle = world.launch(workspace="copy")
        os.kill(smolvm.machine(name_of(world, bottle))["pid"], signal.SIGKILL)
        until(lambda: not world.is_alive(bottle.identity), "the bottle ends")
        assert lines(world) == []
        log = world.paths.bottle(bottle.identity).logs / "bottle.log"
        assert keeper.ENDED_BY_ITSELF in log.read_text()

    def test_its_programs_are_told_before_it_ends(self, world: World, smolvm: StandIn) -> None:
        bottle = world.launch(workspace="copy")
        assert not smolvm.asked
        bottle.close()
        assert smolvm.asked
        log = world.paths.bottle(bottle.identity).logs / "bottle.log"
        assert keeper.ENDED_BY_ITSELF not in log.read_text()

    def test_a_killed_keeper_leaves_a_machine_that_cleanup_ends(self, world: World, smolvm: StandIn) -> None:
        bottle = world.launch(workspace="copy")
        os.kill(keeper_of(world, bottle), signal.SIGKILL)
        until(lambda: not world.is_alive(bottle.identity), "the bottle ends")
        assert lines(world) == [f"machine {name_of(world, bottle)} that runs without its bottle"]
        world.backend.cleanup(world.backend.prepare_cleanup())
        assert smolvm.machine(name_of(world, bottle))["pid"] is None

    def abandon(self, world: World, smolvm: StandIn) -> BottleSpec:
        """Return the spec of a bottle whose machine is being booted, and whose launcher was killed."""
        spec = world.spec(workspace="copy")
        plan = world.backend.prepare(spec)
        smolvm.never_boots.touch()
        if (launcher := os.fork()) == 0:
            try:
                world.backend.launch(plan)
            finally:
                os._exit(1)
        until(lambda: "start" in smolvm.calls, "the machine boots")
        os.kill(launcher, signal.SIGKILL)
        os.waitpid(launcher, 0)
        return spec

    def test_a_bottle_whose_launcher_is_killed_comes_up_and_can_be_ended(
        self, world: World, smolvm: StandIn
    ) -> None:
        spec = self.abandon(world, smolvm)
        smolvm.never_boots.unlink()
        until(lambda: smolvm.machine(*smolvm.names())["state"] == "running", "the machine runs")
        world.backend.find(spec.identity).close()
        assert smolvm.machine(*smolvm.names())["pid"] is None
        assert not world.is_alive(spec.identity)

    def test_a_boot_under_way_does_not_outlive_its_bottle(self, world: World, smolvm: StandIn) -> None:
        spec = self.abandon(world, smolvm)
        until(lambda: read_status(world.paths.bottle(spec.identity)), "the supervisor reports")
        found = read_status(world.paths.bottle(spec.identity))
        assert found is not None
        (keeping,) = psutil.Process(found.supervisor_pid).children()[:1]
        os.kill(found.supervisor_pid, signal.SIGKILL)
        until(
            lambda: smolvm.calls.count("stop") > 1, "the keeper ends the machine for as long as one may come"
        )
        smolvm.never_boots.unlink()
        until(lambda: not keeping.is_running() and not smolvm.is_busy(), "the keeper and what it called end")
        assert smolvm.machine(*smolvm.names())["state"] == "stopped"
