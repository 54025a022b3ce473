"""What the two containers of a bottle are given, as the engine's own settings. No value here is secret."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.docker import names, seccomp
from backends.docker.enter import PYTHON
from backends.docker.plan import WORKSPACE
from backends.programs import GUEST, HOME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backends.docker.engine import Engine
    from backends.docker.plan import DockerPlan
    from backends.docker.sources import Sources

SIDECARS_PROCESSES = 1024
_SCRATCH_SHARE = 8
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_AUTHORITIES = "/run/authorities.pem"
_GUEST_ETC = ("group", "gitconfig", "nsswitch.conf", "passwd")
_NO_IPV6 = {"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1"}
_NO_NEW_PRIVILEGES = "no-new-privileges:true"
_HARDENING: dict[str, Any] = {
    "cap_drop": ["ALL"],
    "security_opt": [_NO_NEW_PRIVILEGES],
    "read_only": True,
    "ipc_mode": "private",
    "sysctls": _NO_IPV6,
    # What a container prints would be kept by the engine.
    "log_config": {"type": "none"},
}
_SCRATCH = {"/tmp": "1777", "/var/tmp": "1777", "/run": "0755"}  # noqa: S108 - inside the bottle

_REPLACED = "ro,nosuid,nodev,noexec,size=4k"
# The engine's own list, and what else shows or changes something of the machine.
_MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/proc/kmsg", "/proc/kallsyms",
    "/proc/slabinfo", "/proc/vmallocinfo", "/proc/pressure", "/proc/dynamic_debug", "/proc/mtrr", "/sys",
)  # fmt: skip


def create_network(engine: Engine, plan: DockerPlan, sources: Sources) -> None:
    """Make the bottle's own network: no way out of it, and no address of this machine on it."""
    options = {
        "com.docker.network.bridge.inhibit_ipv4": "true",
        "com.docker.network.bridge.enable_ip_masquerade": "false",
    }
    with engine.translated("make the bottle's network"):
        engine.api.create_network(
            names.network(plan.spec.identity), driver="bridge", internal=True, options=options,
            labels=names.labels(sources.owner, plan.spec.identity, names.AGENT), check_duplicate=True,
        )  # fmt: skip


def ensure_outside(engine: Engine) -> None:
    """Have the network through which all sidecars, and nothing else, reach the outside; not each other."""
    from docker.errors import APIError

    options = {"com.docker.network.bridge.enable_icc": "false"}
    with engine.translated("make the sidecars' network"):
        try:
            engine.api.create_network(
                names.OUTSIDE_NETWORK, driver="bridge", options=options, labels={names.ROLE_LABEL: "outside"},
                check_duplicate=True,
            )  # fmt: skip
        except APIError as error:
            if error.status_code != 409:
                raise


def create_sidecars(engine: Engine, plan: DockerPlan, sources: Sources, image: str) -> None:
    """Make, not start, the container of the sidecars, on the bottle's network."""
    spec = plan.spec
    host = _host_config(engine, plan, list(_sidecars_mounts(plan, sources)), pids_limit=SIDECARS_PROCESSES)
    if sources.runtime is None:
        user, group = plan.operator
        host["Tmpfs"][str(spec.files.runtime)] = (
            f"rw,nosuid,nodev,noexec,size=1m,mode=700,uid={user},gid={group}"
        )
    network = names.network(spec.identity)
    with engine.translated("make the sidecars' container"):
        engine.api.create_container(
            image, name=names.sidecars_container(spec.identity), user=_numeric(plan.operator), hostname="sidecars",
            environment={"HOME": "/tmp", "SSL_CERT_FILE": _AUTHORITIES, "SSL_CERT_DIR": "/nonexistent"},  # noqa: S108
            labels=names.labels(sources.owner, spec.identity, names.SIDECARS), stdin_open=True, detach=False,
            host_config=host, networking_config=engine.api.create_networking_config(
                {network: engine.api.create_endpoint_config()}
            ),
        )  # fmt: skip


def connect_outside(engine: Engine, plan: DockerPlan) -> None:
    """Give the sidecars the network that the agent is not on. Since it was made, a cleanup may have found it unused."""
    from docker.errors import NotFound

    sidecars = names.sidecars_container(plan.spec.identity)
    with engine.translated("connect the sidecars to the outside"):
        try:
            engine.api.connect_container_to_network(sidecars, names.OUTSIDE_NETWORK)
        except NotFound:
            ensure_outside(engine)
            engine.api.connect_container_to_network(sidecars, names.OUTSIDE_NETWORK)


def create_agent(engine: Engine, plan: DockerPlan, sources: Sources, image: str, sidecars: str) -> None:
    """Make, not start, the container of the agent, in which the sidecars are at the address ``sidecars``."""
    spec = plan.spec
    limits: dict[str, Any] = {"pids_limit": plan.pids}
    if plan.memory:
        limits |= {"mem_limit": plan.memory, "memswap_limit": plan.memory}
    if plan.cpus:
        limits["nano_cpus"] = int(plan.cpus * 1e9)
    # The engine's own resolver would ask the outside; this one asks a port on which nobody listens.
    limits |= {"dns": ["127.0.0.1"], "dns_search": ["."]}
    limits["extra_hosts"] = dict.fromkeys(("egress", "supervise", "git-gate"), sidecars)
    limits["security_opt"] = [
        _NO_NEW_PRIVILEGES,
        f"seccomp={seccomp.cached_profile(spec.paths.state / 'cache')}",
    ]
    if plan.runtime:
        limits["runtime"] = plan.runtime
    limits["tmpfs"] = {tree.target: _REPLACED for tree in plan.trees}
    host = _host_config(engine, plan, list(_agent_mounts(plan, sources)), **limits)
    host["MaskedPaths"] = list(_MASKED)  # the library knows no option for it
    network = names.network(spec.identity)
    with engine.translated("make the agent's container"):
        engine.api.create_container(
            image, [*PYTHON, f"{GUEST}/lib/init.py", spec.identity], entrypoint=[], user=_numeric(plan.user),
            name=names.agent_container(spec.identity), hostname=spec.identity[:63].replace("_", "-"),
            environment=dict(plan.environ), working_dir=WORKSPACE,
            labels=names.labels(sources.owner, spec.identity, names.AGENT), host_config=host,
            healthcheck={"test": ["NONE"]}, stop_signal="SIGTERM",
            networking_config=engine.api.create_networking_config({network: engine.api.create_endpoint_config()}),
        )  # fmt: skip


def _numeric(owner: tuple[int, int]) -> str:
    return f"{owner[0]}:{owner[1]}"


def _host_config(engine: Engine, plan: DockerPlan, mounts: list[Any], **more: Any) -> dict[str, Any]:
    from docker.types import Ulimit

    tmpfs = {
        name: f"rw,nosuid,nodev,exec,mode={mode}{_scratch_size(plan)}" for name, mode in _SCRATCH.items()
    }
    tmpfs |= more.pop("tmpfs", {})
    host: dict[str, Any] = engine.api.create_host_config(
        mounts=mounts, tmpfs=tmpfs, ulimits=[Ulimit(name="core", soft=0, hard=0)],
        network_mode=names.network(plan.spec.identity), **{**_HARDENING, **more},
    )  # fmt: skip
    return host


def _scratch_size(plan: DockerPlan) -> str:
    """Bound temporary files, which are in memory, to a share of the memory that there is."""
    installed = plan.installed_memory
    return f",size={max(1 << 20, min(installed, plan.memory or installed) // _SCRATCH_SHARE)}"


def _mount(sources: Sources, source: Path, target: str, *, writable: bool = False) -> Any:
    from docker.types import Mount

    return Mount(target, str(source), type="bind", read_only=not writable, propagation=sources.propagation)


def _agent_mounts(plan: DockerPlan, sources: Sources) -> Iterator[Any]:
    yield _mount(sources, sources.guest, GUEST)
    for name in _GUEST_ETC:
        yield _mount(sources, sources.guest / "etc" / name, f"/etc/{name}")
    yield _mount(sources, sources.guest / "ca.pem", SYSTEM_BUNDLE)
    if plan.trees:
        return
    yield _mount(sources, sources.home, HOME, writable=True)
    yield _mount(sources, sources.workspace, WORKSPACE, writable=True)
    for name in plan.protection.pinned:
        yield _mount(sources, sources.workspace / name, f"{WORKSPACE}/{name}", writable=True)
    for name in plan.protection.paths:
        yield _mount(sources, sources.workspace / name, f"{WORKSPACE}/{name}")


def _sidecars_mounts(plan: DockerPlan, sources: Sources) -> Iterator[Any]:
    """Show the sidecars this bottle's records and what its manifest names, each at the place it has here."""
    files = plan.spec.files
    yield _mount(sources, sources.state, str(files.state), writable=True)
    if sources.runtime is not None:
        yield _mount(sources, sources.runtime, str(files.runtime), writable=True)
    yield _mount(sources, sources.guest / "etc" / "passwd", "/etc/passwd")
    yield _mount(sources, sources.authorities, _AUTHORITIES)
    for path in shown_files(plan):
        yield _mount(sources, sources.of(path), str(path))


def shown_files(plan: DockerPlan) -> list[Path]:
    """Return the files of this machine that the manifest names and the sidecars get to see.

    A key of git's is none of them elsewhere: it is a secret, and travels with the others.
    """
    bottle = plan.spec.resolved.bottle
    named = {route.upstream_ca for route in bottle.egress.routes if route.upstream_ca}
    if not plan.is_elsewhere:
        named |= {str(remote.identity_file) for remote in bottle.git}
    engines = (plan.spec.pipelock_binary, plan.spec.gitleaks_binary)
    named |= {engine for engine in engines if engine.startswith("/")}
    return [Path(path).expanduser() for path in sorted(named)]


def system_authorities() -> Path:
    """Return this machine's bundle: upstream servers are trusted as they are on the host."""
    found = ssl.get_default_verify_paths().cafile
    for candidate in (SYSTEM_BUNDLE, found, "/etc/pki/tls/certs/ca-bundle.crt"):
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    import certifi

    return Path(certifi.where())
