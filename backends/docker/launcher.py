"""Starts a bottle's containers in order: the sidecars get their orders, the agent starts when they are healthy."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import ssl
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends import sidecar_specs
from backends.contract import Authority
from backends.docker import containers, names, walls
from bottlemux.errors import BottlemuxError
from sidecars.launch import KEYS, SupervisorSpec, encode
from sidecars.secrets import SecretSource, SecretStore, SecretUnavailable

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from backends.contract import BottleSpec
    from backends.docker.engine import Engine
    from backends.docker.plan import DockerPlan
    from backends.docker.sources import Sources

PORTS = {"egress": 3128, "supervise": 9100, "git-gate": 9418}
START_TIMEOUT_S = 60.0
_HEADER = struct.Struct("!BxxxI")
_STDOUT = 1


def make_authority(plan: DockerPlan) -> Authority:
    """Return a new certificate authority for this run of the bottle."""
    from sidecars.ca import make_ca

    key, certificate = make_ca(f"bottlemux {plan.spec.identity}")
    return Authority(certificate=certificate, key=key)


def fingerprint(authority: Authority) -> str:
    """Return the SHA-256 fingerprint of the authority's certificate."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(authority.certificate.decode())).hexdigest()


def launch(
    engine: Engine,
    plan: DockerPlan,
    sources: Sources,
    lock: int,
    images: tuple[str, str],
    provision: Callable[[], Authority],
) -> None:
    """Start the bottle of ``plan`` and hand ``lock`` over to its sidecars; elsewhere they have one of their own.

    While their container starts and they load, ``provision`` places the agent's files and returns their authority.
    """
    agent_image, sidecars_image = images
    agent = names.agent_container(plan.spec.identity)
    engine.connect()
    with contextlib.ExitStack() as stack:
        with ThreadPoolExecutor(1) as pool:
            starting = pool.submit(_start_sidecars, engine, plan, sources, sidecars_image, stack)
            told = encode(_supervisor_spec(plan, provision()))
        line, address, pid = starting.result()
        ports = {name: PORTS[name] for name in _services(plan)}
        line.say(
            {"spec": told, "lock": str(plan.spec.files.lock), "address": address, "ports": ports, "pid": pid,
             "keys": _keys(plan)}
        )  # fmt: skip
        containers.create_agent(engine, plan, sources, agent_image, address)
        line.expect("ready")
        _start(engine, agent)
        init = _build_walls(engine, plan, agent) if plan.is_walled else _where(engine, plan, agent)[1]
        line.say({"init_pid": init})
        if not plan.is_elsewhere:
            fcntl.flock(lock, fcntl.LOCK_UN)
        line.expect("held")


def _start_sidecars(
    engine: Engine, plan: DockerPlan, sources: Sources, image: str, stack: contextlib.ExitStack
) -> tuple[_Line, str, int]:
    """Return a line to the sidecars' process 1, the address they will have, and its process id."""
    name = names.sidecars_container(plan.spec.identity)
    containers.ensure_outside(engine)
    containers.create_network(engine, plan, sources)
    containers.create_sidecars(engine, plan, sources, image)
    line = _Line(stack.enter_context(engine.attached(name, START_TIMEOUT_S)))
    _start(engine, name)
    address, pid = _where(engine, plan, name)
    containers.connect_outside(engine, plan)
    return line, address, pid


def _services(plan: DockerPlan) -> list[str]:
    bottle = plan.spec.resolved.bottle
    wanted = {"egress": True, "git-gate": bool(bottle.git), "supervise": bottle.supervise}
    return [name for name, present in wanted.items() if present]


def _supervisor_spec(plan: DockerPlan, authority: Authority) -> SupervisorSpec:
    files = plan.spec.files
    spec = replace(_with_keys(plan), secrets=_values(plan))
    return SupervisorSpec(
        slug=spec.identity,
        backend=plan.backend_name,
        status_file=files.status,
        log_dir=files.logs,
        bottle=None,
        egress=sidecar_specs.egress(spec, authority),
        git_gate=sidecar_specs.git_gate(spec),
        supervise=sidecar_specs.supervise(spec, can_rebuild=True),
    )


def _with_keys(plan: DockerPlan) -> BottleSpec:
    """Elsewhere, name the keys of git where the sidecars put what :func:`_keys` brings."""
    spec, bottle = plan.spec, plan.spec.resolved.bottle
    if not plan.is_elsewhere or not bottle.git:
        return spec
    moved = [
        one.model_copy(update={"identity_file": Path(KEYS, str(at))}) for at, one in enumerate(bottle.git)
    ]
    resolved = replace(spec.resolved, bottle=bottle.model_copy(update={"git": tuple(moved)}))
    return replace(spec, resolved=resolved)


def _keys(plan: DockerPlan) -> dict[str, str]:
    """Return git's keys, for the memory of the sidecars' container elsewhere: they are on no disk there."""
    if not plan.is_elsewhere:
        return {}
    try:
        return {
            str(at): remote.identity_file.read_text("ascii")
            for at, remote in enumerate(plan.spec.resolved.bottle.git)
        }
    except (OSError, ValueError) as error:
        raise BottlemuxError(f"a key of git's cannot be read: {error}") from error


def _values(plan: DockerPlan) -> dict[str, SecretSource]:
    """Read every credential now: the sidecars' container has neither the operator's files nor programs."""
    store = SecretStore(plan.spec.secrets)
    found: dict[str, SecretSource] = {}
    for name in store.names:
        with contextlib.suppress(SecretUnavailable):
            found[name] = SecretSource(value=store.get(name))
    return found


def _start(engine: Engine, container: str) -> None:
    with engine.translated("start a container"):
        engine.api.start(container)


def _build_walls(engine: Engine, plan: DockerPlan, container: str) -> int:
    """Finish the walls around a started container; return its process 1, which sees nothing half done.

    Its Python is the image's, and an image may hold what an agent asked for: it stands still meanwhile.
    """
    with engine.translated("halt a container"):
        engine.api.pause(container)
    _, init = _where(engine, plan, container)
    walls.build(init, plan.trees)
    with engine.translated("halt a container"):
        engine.api.unpause(container)
    return init


def _where(engine: Engine, plan: DockerPlan, container: str) -> tuple[str, int]:
    """Return a started container's address on the bottle's network and the process id of its process 1."""
    with engine.translated("look at a container"):
        facts: dict[str, Any] = engine.api.inspect_container(container)
    network = facts["NetworkSettings"]["Networks"][names.network(plan.spec.identity)]
    if not facts["State"]["Running"]:
        raise BottlemuxError(
            f"{container} ended at once: {facts['State'].get('Error') or facts['State']['ExitCode']}"
        )
    return str(network["IPAddress"]), int(facts["State"]["Pid"])


class _Line:
    """The standard streams of the sidecars' process 1: a JSON object a line in either direction."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._printed = {_STDOUT: b"", 2: b""}

    def say(self, message: dict[str, object]) -> None:
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def expect(self, key: str) -> None:
        """Wait for a message with ``key``; anything else is a failure of the sidecars."""
        while b"\n" not in self._printed[_STDOUT]:
            self._receive()
        line, _, self._printed[_STDOUT] = self._printed[_STDOUT].partition(b"\n")
        message = json.loads(line)
        if key not in message:
            raise BottlemuxError(f"the sidecars did not start: {message.get('error', 'no reason given')}")

    def _receive(self) -> None:
        try:
            kind, length = _HEADER.unpack(self._exactly(_HEADER.size))
            self._printed[kind] += self._exactly(length)
        except (OSError, EOFError) as error:
            complaint = self._printed[2].decode(errors="replace").strip().splitlines()
            reason = complaint[-1] if complaint else str(error)
            raise BottlemuxError(f"the sidecars did not start: {reason}") from error

    def _exactly(self, count: int) -> bytes:
        parts: list[bytes] = []
        while count:
            part = self._connection.recv(count)
            if not part:
                raise EOFError("their container ended")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)
