"""One bottle with a kernel of its own, from start to cleanup, as its user sees it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from backends.smolmachines import keeper
from tests.backends.world import MACHINE_IMAGE
from tests.e2e import world as e2e
from tests.e2e.fake_api import HOST, FakeApi
from tests.e2e.world import World, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.kvm

TOKEN = "sk-ant-oat01-real-and-never-in-the-bottle"
MACHINE = f"""
backend: smolmachines
image: {MACHINE_IMAGE}
resources: {{cpus: 1, memory: 768m}}
"""
BOTTLE = """
egress:
  routes:
    - host: {host}
      token_ref: CLAUDE_CODE_OAUTH_TOKEN
      upstream: {address}
      upstream_ca: {ca}
"""


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulated processor is slow."""
    monkeypatch.setattr(e2e, "COMMAND_TIMEOUT_S", 600.0)
    monkeypatch.setattr(e2e, "DEADLINE_S", 300.0)


@pytest.fixture
def make_world(patient: None) -> Iterator[Callable[[], World]]:
    with contextlib.ExitStack() as ends:

        def make() -> World:
            # A socket's name may have 107 bytes; smolvm's own files were unpacked in the tester's home.
            root = Path(tempfile.mkdtemp(prefix="bm-", dir="/tmp"))
            ends.callback(shutil.rmtree, root)
            made = World(root / "u")
            made.environ["SMOLVM_AGENT_READY_TIMEOUT_SECS"] = "240"
            made.environ["XDG_CACHE_HOME"] = str(Path.home() / ".cache")
            ends.callback(made.close)
            return made

        yield make


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    return make_world()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeApi]:
    server = FakeApi(tmp_path)
    yield server
    server.close()


def ended_by_itself(world: World) -> bool:
    """Tell whether the emulated processor's machine broke down: nobody had asked for its end."""
    logs = world.state.glob("bottles/*/logs/bottle.log")
    return any(keeper.ENDED_BY_ITSELF in log.read_text() for log in logs)


def test_one_bottle_from_start_to_cleanup(make_world: Callable[[], World], api: FakeApi) -> None:
    world = make_world()
    try:
        live(world, api)
    except AssertionError as error:
        if not ended_by_itself(world):
            raise
        warnings.warn(f"a machine ended by itself, so its life is lived once more: {error}", stacklevel=1)
        live(make_world(), api)


def live(world: World, api: FakeApi) -> None:
    front = MACHINE + BOTTLE.format(host=HOST, address=api.address, ca=api.ca_file)
    world.manifest("bottles", "vm", front)
    world.manifest("agents", "dev", "bottle: vm\nprogram: [bash, --norc, -i]\nworkspace: copy")
    (world.project / "file").write_text("from the host\n")
    slug = world.start("dev", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)

    def inside(script: str) -> str:
        return world.run("exec", slug, "--", "sh", "-c", script)

    listed = world.run("list", "active")
    assert listed.split("\t")[:3] == ["smolmachines", slug, "dev"]
    assert "egress" in listed
    assert inside("uname -r").strip() != os.uname().release
    assert inside("cat file; id -un; tail -n +3 /proc/net/dev | grep -v -e lo: -e dummy0: || true") == (
        "from the host\nnode\n"
    )

    # An allowed request has the token, which is nowhere in the bottle; any other is refused.
    url = f"https://{HOST}/v1/messages"
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]})
    assert "message" in inside(
        f"curl -sS -m 60 -X POST -H 'content-type: application/json' -d '{body}' {url}"
    )
    assert api.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in inside(
        "env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'; cat /run/bottlemux/lib/*.settings"
    )
    assert inside("curl -s -m 60 -o /dev/null -w %{http_code} http://example.com/ || true") == "403"
    assert [line["decision"] for line in world.audit(slug)][-2:] == ["allow", "block"]

    # The pane is the agent's terminal.
    world.tmux("send-keys", "-t", world.pane_id(slug), "echo pane-$((6*7)); stty size", "Enter")
    world.wait_for_text(slug, "pane-42")
    world.tmux("send-keys", "-t", world.pane_id(slug), "sleep 1000; echo code-$?", "Enter")
    until(lambda: "sleep 1000" in inside("cat /proc/[0-9]*/cmdline | tr '\\0' ' '"), "sleep runs")
    world.tmux("send-keys", "-t", world.pane_id(slug), "C-c", "")
    world.tmux("send-keys", "-t", world.pane_id(slug), "echo after-$((1+1))", "Enter")
    world.wait_for_text(slug, "after-2")

    refused = world.try_run("doctor", "--battery", slug)
    assert refused.returncode == 0, refused.stdout

    # Stopped and brought back, it has its files: those of the project, the home, and of the machine itself.
    inside("echo mine > note; echo kept > ~/kept")
    world.run("exec", slug, "--user", "root", "--", "sh", "-c", "echo installed > /opt/tool")
    world.run("stop", slug)
    assert world.run("list", "active") == ""
    assert world.status(slug)["state"] == "exited"
    world.run("resume", slug, "--detach", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    assert inside("cat note ~/kept /opt/tool") == "mine\nkept\ninstalled\n"

    # A killed supervisor and keeper leave a machine, which has no network and is found.
    e2e.kill([world.report(slug)["supervisor_pid"]])
    until(lambda: world.status(slug)["state"] == "broken", "a killed supervisor is told")
    world.run("resume", slug, "--detach", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    assert inside("cat note") == "mine\n"

    world.run("stop", slug)
    world.run("rm", slug)
    assert world.run("cleanup", "--yes").count("machine") == 0


def monitor_of(world: World, slug: str) -> int:
    """Return the process in which the machine of ``slug`` runs, as its supervisor reports it."""

    def reported() -> int | None:
        pid = world.report(slug)["init_pid"]
        return pid if "_boot-vm" in psutil.Process(pid).cmdline() else None

    pid = until(reported, "the machine's process is reported")
    assert pid is not None
    return pid


def keeper_of(world: World, slug: str) -> int:
    """Return the process that keeps the machine of ``slug``, a child of its supervisor."""

    def found() -> int | None:
        for child in psutil.Process(world.report(slug)["supervisor_pid"]).children():
            with contextlib.suppress(psutil.ZombieProcess):  # one that ended and is about to be reaped
                if "backends.smolmachines.keeper" in child.cmdline():
                    return child.pid
        return None

    pid = until(found, "its keeper")
    assert pid is not None
    return pid


def test_one_whose_processes_are_stopped_and_killed(world: World) -> None:
    world.manifest("bottles", "vm", MACHINE)
    world.manifest("agents", "dev", "bottle: vm\nprogram: [bash, --norc, -i]\nworkspace: copy")
    slug = world.start("dev")
    monitor = monitor_of(world, slug)
    assert world.status(slug)["memory_bytes"] > psutil.Process(monitor).memory_info().rss > 100 << 20

    os.kill(monitor, signal.SIGSTOP)
    until(lambda: "machine unreachable" in world.run("list", "active"), "the machine stands still")
    world.run("stop", slug)
    assert not psutil.pid_exists(monitor)

    world.run("resume", slug, "--detach")
    e2e.kill([keeper_of(world, slug)])
    until(lambda: world.run("list", "active") == "", "a bottle ends with what keeps its machine")
    assert "that runs without its bottle" in world.run("cleanup", "--yes")
    assert "machine" not in world.run("cleanup", "--yes")

    world.run("resume", slug, "--detach")
    e2e.kill([monitor_of(world, slug)])
    until(lambda: world.run("list", "active") == "", "a bottle ends with its machine")
