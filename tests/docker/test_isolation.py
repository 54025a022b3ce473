"""What an agent's container can reach and do, tried from inside, and what the engine tells others about it."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from sidecars.secrets import SecretSource

if TYPE_CHECKING:
    from backends.contract import Bottle

    from .conftest import World

pytestmark = pytest.mark.docker

ASK = """
import socket, struct, sys
query = b"\\x12\\x34\\x01\\x00\\x00\\x01" + bytes(6)
query += b"".join(bytes([len(x)]) + x.encode() for x in sys.argv[2].split(".")) + b"\\0\\0\\1\\0\\1"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
try:
    s.sendto(query, (sys.argv[1], 53))
    answer = s.recv(512)
    print("answers", struct.unpack("!H", answer[6:8])[0])
except OSError as error:
    print("nothing:", error)
"""
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 1.5)
    print("connected")
except OSError as error:
    print("nothing:", error)
"""


def python(bottle: Bottle, script: str, *arguments: str) -> str:
    command = bottle.claude_argv(["python3", "-c", script, *arguments], tty=False)
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=30).stdout.decode()


def inspect(*arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(["docker", "inspect", *arguments], capture_output=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def facts(bottle: Bottle) -> tuple[dict[str, Any], dict[str, Any]]:
    agent, sidecars = inspect(f"bottlemux-{bottle.identity}", f"bottlemux-{bottle.identity}-sidecars")
    return agent, sidecars


@pytest.mark.parametrize("name", ["example.com", "host.docker.internal", "gateway.docker.internal"])
def test_no_name_outside_is_resolved(shared: Bottle, name: str) -> None:
    assert shared.exec(f"getent hosts {name}").returncode != 0
    assert "answers 0" in (answer := python(shared, ASK, "127.0.0.11", name)) or "nothing" in answer


def test_no_question_leaves_the_bottle(shared: Bottle) -> None:
    """The engine's own resolver would ask the host's, and so tell the world a name that an agent made up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        try:
            listener.bind(("127.0.0.1", 53))
        except OSError:
            pytest.skip("port 53 of this machine is taken")
        listener.settimeout(0.2)
        python(shared, ASK, "127.0.0.11", "secret.example.com")
        with pytest.raises(TimeoutError):
            listener.recv(512)


def test_this_machine_is_out_of_reach(shared: Bottle) -> None:
    agent, sidecars = facts(shared)
    gateways = {
        one["Gateway"] for item in (agent, sidecars) for one in item["NetworkSettings"]["Networks"].values()
    }
    outside = sidecars["NetworkSettings"]["Networks"]["bottlemux-outside"]["IPAddress"]
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = str(server.getsockname()[1])
        for address in {*gateways, outside, "172.17.0.1", "10.231.0.1"} - {""}:
            assert "nothing" in python(shared, CONNECT, address, port), address
    assert "nothing" in python(shared, CONNECT, outside, "3128")


def test_sidecars_listen_on_the_bottles_network_only(shared: Bottle) -> None:
    _, sidecars = facts(shared)
    outside = sidecars["NetworkSettings"]["Networks"]["bottlemux-outside"]["IPAddress"]
    with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
        socket.create_connection((outside, 3128), 2)


def test_no_privilege(shared: Bottle) -> None:
    status = shared.exec("cat /proc/self/status").stdout
    values = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {values[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (values["NoNewPrivs"], values["Seccomp"]) == ("1", "2")


@pytest.mark.parametrize(
    "attack",
    ["touch /etc/x", "touch /usr/x", "touch /run/bottlemux/x", "echo x >> /run/bottlemux/ca.pem", "unshare -Ur true",
     "mount -t tmpfs x /mnt", "echo 1 > /proc/sys/kernel/printk", "ls /var/run/docker.sock",
     "cat /proc/net/if_inet6 | grep ."],
)  # fmt: skip
def test_an_attack_fails(shared: Bottle, attack: str) -> None:
    assert shared.exec(attack).returncode != 0


def test_it_has_limits(world: World) -> None:
    world.write_bottle("dev", "resources: {cpus: 1.5, memory: 512m, pids: 100}")
    try:
        bottle = world.launch()
    finally:
        world.write_bottle("dev", "")
    host = facts(bottle)[0]["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (1_500_000_000, 512 << 20, 512 << 20)
    assert host["PidsLimit"] == 100
    assert "fork" in bottle.exec("for i in $(seq 200); do sleep 9 & done; wait").stderr


def test_the_engine_shows_no_secret(world: World) -> None:
    secret = "s3cr3t-of-the-operator"
    route = "egress:\n  routes:\n    - host: api.example.com\n      token_ref: API_TOKEN"
    world.write_bottle("dev", route)
    try:
        bottle = world.launch(secrets={"API_TOKEN": SecretSource(value=secret)})
    finally:
        world.write_bottle("dev", "")
    assert bottle.exec("echo $API_TOKEN").stdout == "bottlemux-placeholder-API_TOKEN\n"
    text = json.dumps(facts(bottle))
    assert "API_TOKEN" in text
    assert secret not in text
    assert "PRIVATE KEY" not in text
    names = (f"bottlemux-{bottle.identity}", f"bottlemux-{bottle.identity}-sidecars")
    for name in names:
        logs = subprocess.run(["docker", "logs", name], capture_output=True)
        assert secret.encode() not in logs.stdout + logs.stderr
    for path in bottle_files(world, bottle):
        assert secret.encode() not in path.read_bytes(), path


def bottle_files(world: World, bottle: Bottle) -> list[Any]:
    files = world.paths.bottle(bottle.identity)
    return [path for root in (files.state, files.runtime) for path in root.rglob("*") if path.is_file()]
