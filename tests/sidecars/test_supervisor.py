"""What keeps a bottle's sidecars running, on real bottles: kills, restarts, hangs and ends."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backends import supervising
from backends.bubblewrap import sandbox
from bottlemux.errors import BottlemuxError
from bottlemux.state.liveness import read_status
from bottlemux.state.store import BottleStore
from sidecars import services, supervisor
from sidecars.secrets import SecretSource
from tests.backends.world import World, processes, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backends.contract import Bottle
    from bottlemux.state.liveness import RuntimeStatus

pytestmark = pytest.mark.bwrap
ASK = "curl -s -m 20 -o /dev/null -w %{http_code} http://x.example/"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("supervised"), "bubblewrap")
    yield made
    made.close()
    made.end_zygotes()


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    shared.bottles = []
    yield shared
    shared.close()


def status(world: World, bottle: Bottle) -> RuntimeStatus:
    found = read_status(world.paths.bottle(bottle.identity))
    assert found is not None
    return found


def egress_pid(world: World, bottle: Bottle) -> int:
    return status(world, bottle).services["egress"].pid or 0


def exists(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_killed_proxy_comes_back_on_the_same_socket(world: World) -> None:
    bottle = world.launch()
    first = egress_pid(world, bottle)
    os.kill(first, signal.SIGKILL)
    until(lambda: egress_pid(world, bottle) not in {0, first}, "the proxy is started again")
    assert bottle.exec(ASK).stdout == "403"
    service = status(world, bottle).services["egress"]
    assert (service.restarts, service.state) == (1, "running")


def test_a_connection_made_meanwhile_is_served_later(world: World) -> None:
    """The listening socket stays open in the supervisor, so the bottle waits rather than being refused."""
    bottle = world.launch()
    first = egress_pid(world, bottle)
    os.kill(first, signal.SIGSTOP)
    bottle.exec(f"({ASK} > ~/answer) >/dev/null 2>&1 &")
    os.kill(first, signal.SIGKILL)
    until(lambda: bottle.exec("cat ~/answer").stdout in {"403", "000"}, "an answer")
    until(lambda: bottle.exec(ASK).stdout == "403", "the next request is served")


def test_without_proxy_there_is_no_network(world: World) -> None:
    bottle = world.launch()
    os.kill(egress_pid(world, bottle), signal.SIGSTOP)
    assert bottle.exec("curl -s -m 1 http://x.example/").returncode == 28
    assert bottle.exec("curl -s -m 2 --noproxy '*' http://1.1.1.1/").returncode == 7


def own_descriptors(pid: int) -> set[str]:
    """Return the pipes, sockets and locks that a process has; logs and what has no name are left out."""
    names = {str(place.readlink()) for place in Path(f"/proc/{pid}/fd").iterdir()}
    return {name for name in names if name.startswith(("pipe:", "socket:")) or name.endswith("/lock")}


def test_a_sidecar_has_of_its_supervisors_only_its_listener(world: World) -> None:
    bottle = world.launch()
    found = status(world, bottle)
    everyones = own_descriptors(found.supervisor_pid)
    shared = [everyones & own_descriptors(service.pid or 0) for service in found.services.values()]
    assert [len(each) for each in shared] == [1] * len(shared), shared
    assert len(set.union(*shared)) == len(shared)


def test_restarts_wait_longer_and_longer(world: World) -> None:
    bottle = world.launch()
    began = time.monotonic()
    for count in range(1, 4):
        before = egress_pid(world, bottle)
        os.kill(before, signal.SIGKILL)
        until(lambda old=before: egress_pid(world, bottle) not in {0, old}, "the proxy is started again")
        assert status(world, bottle).services["egress"].restarts == count
    assert time.monotonic() - began >= sum(services.RESTART_DELAY_S[:3])


def test_while_it_is_down_the_status_says_so(world: World) -> None:
    bottle = world.launch()
    seen = []

    def killed_thrice() -> bool:
        service = status(world, bottle).services["egress"]
        seen.append(service.state)
        if service.pid and service.restarts < 3:
            with contextlib.suppress(ProcessLookupError):
                os.kill(service.pid, signal.SIGKILL)
        return service.restarts >= 3 and "restarting" in seen

    until(killed_thrice, "the state is shown")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda one: one.name)
def test_everything_ends_with_the_supervisor(world: World, number: signal.Signals) -> None:
    bottle = world.launch()
    bottle.exec("setsid sleep 1000 >/dev/null 2>&1 &")
    found = status(world, bottle)
    os.kill(found.supervisor_pid, number)
    until(lambda: not world.is_alive(bottle.identity), "the lock is free")
    until(lambda: not exists(found.services["egress"].pid or 0), "the proxy ended")
    until(lambda: not exists(found.init_pid or 0), "the bottle ended")
    until(lambda: processes(bottle.identity) == [], "every process of the bottle ended")


def test_a_bottle_whose_first_process_is_killed_ends_as_a_whole(world: World) -> None:
    bottle = world.launch()
    found = status(world, bottle)
    os.kill(found.init_pid or 0, signal.SIGKILL)
    until(lambda: not world.is_alive(bottle.identity), "the supervisor ends")
    assert not exists(found.services["egress"].pid or 0)
    assert not world.paths.bottle(bottle.identity).runtime.exists()


def test_a_bottle_that_hangs_is_killed_at_stop(world: World) -> None:
    bottle = world.launch()
    script = "trap '' TERM HUP INT; echo $$; while :; do sleep 1; done"
    bottle.exec(f"(sh -c {script!r} >/dev/null 2>&1) &".replace("'\"'\"'", "'"))
    bottle.exec("sh -c \"trap '' TERM HUP; sleep 1000\" >/dev/null 2>&1 &")
    began = time.monotonic()
    bottle.close()
    assert time.monotonic() - began < supervisor.STOP_TIMEOUT_S + 2
    assert processes(bottle.identity) == []


def test_a_stopped_first_process_is_killed_at_stop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bottle = world.launch()
    found = status(world, bottle)
    init = [pid for pid in processes(bottle.identity) if b"init" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    for pid in init:
        os.kill(pid, signal.SIGSTOP)
    bottle.close()
    assert not exists(found.supervisor_pid)
    assert processes(bottle.identity) == []


def broken_options(change: list[str]) -> object:
    original = sandbox.arguments
    return lambda view: [*original(view), *change]


def test_a_bottle_that_does_not_start_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = world.plan()
    monkeypatch.setattr(sandbox, "arguments", broken_options(["--ro-bind", "/no/such/place", "/x"]))
    with pytest.raises(BottlemuxError, match="no/such/place"):
        world.launch(plan)
    assert_nothing_left(world, plan.spec.identity)


def test_a_program_in_place_of_bwrap_that_fails_leaves_nothing(world: World) -> None:
    from dataclasses import replace

    plan = world.plan()
    with pytest.raises(BottlemuxError, match="did not start"):
        world.launch(replace(plan, bwrap="/bin/false"))
    assert_nothing_left(world, plan.spec.identity)


def test_a_sidecar_that_cannot_start_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from backends import sidecar_specs

    original = sidecar_specs.egress

    def without_key(*arguments: object) -> object:
        from dataclasses import replace

        return replace(original(*arguments), ca_key_pem=b"no key")  # type: ignore[arg-type]

    monkeypatch.setattr(sidecar_specs, "egress", without_key)
    plan = world.plan()
    with pytest.raises(BottlemuxError, match="egress sidecar did not start: ValueError: ") as caught:
        world.launch(plan)
    assert_nothing_left(world, plan.spec.identity)
    assert_hint_holds(world, plan.spec.identity, caught.value)


def assert_hint_holds(world: World, identity: str, error: BottlemuxError) -> None:
    """What a hint names must be there when it is read, after a start that failed was forgotten."""
    BottleStore(world.paths).remove(identity)
    assert error.hint
    assert all(Path(word).exists() for word in error.hint.split() if "/" in word)


def test_a_parent_that_cannot_start_is_an_error_with_its_cause(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "PRELOADED", ("sidecars.no_such_module",))
    plan = world.plan()
    for _ in range(2):  # the second one must not read what the first has left in the log
        with pytest.raises(BottlemuxError, match="ModuleNotFoundError: No module named") as it:
            world.launch(plan)
        assert str(world.paths.runtime / "zygote.log") in it.value.hint
        (world.paths.runtime / "zygote.log").write_text(
            "Traceback (most recent call last):\nOldError: of before\n"
        )
    assert_nothing_left(world, plan.spec.identity)
    assert_hint_holds(world, plan.spec.identity, it.value)


@pytest.mark.parametrize("secret", ["", "no_such_function"], ids=["plain", "hidden"])
def test_a_supervisor_that_ends_at_once_is_an_error_with_its_cause_and_without_secrets(
    world: World, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setattr(supervising, "ENTRY", "sidecars.supervisor:no_such_function")
    plan = world.plan(secrets={"API_TOKEN": SecretSource(value=secret)} if secret else {})
    with pytest.raises(BottlemuxError, match="did not start: AttributeError: module") as caught:
        world.launch(plan)
    assert ("no_such_function" in caught.value.message) is not bool(secret)
    assert ("[credential]" in caught.value.message) is bool(secret)
    assert_nothing_left(world, plan.spec.identity)
    assert_hint_holds(world, plan.spec.identity, caught.value)


def assert_nothing_left(world: World, identity: str) -> None:
    """At once: whoever reads why it failed removes the directory, which a held lock would forbid."""
    files = world.paths.bottle(identity)
    assert not world.is_alive(identity)
    assert not files.runtime.exists()
    until(lambda: processes(identity) == [], "no process is left")
    assert list(world.project().iterdir()) == []


def test_sidecars_leave_no_core_dump(world: World) -> None:
    """A dump of the proxy would hold credentials."""
    bottle = world.launch()
    limits = Path(f"/proc/{egress_pid(world, bottle)}/limits").read_text()
    line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert line.split()[4:6] == ["0", "0"]


def test_no_secret_is_in_a_command_line_or_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "s3cr3t-value-that-is-nowhere"
    world.write_bottle("dev", "egress: {routes: [{host: api.example.com, token_ref: API_TOKEN}]}")
    try:
        bottle = world.launch(secrets={"API_TOKEN": SecretSource(value=secret)})
        assert bottle.exec("echo $API_TOKEN").stdout.strip() == "bottlemux-placeholder-API_TOKEN"
        assert processes(secret) == []
        for path in (path for path in world.root.rglob("*") if path.is_file()):
            assert secret.encode() not in path.read_bytes(), path
    finally:
        world.write_bottle("dev", "")
