"""What a bubblewrap bottle sees of the machine: a pure description, and its rendering as ``bwrap`` arguments."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backends.programs import GUEST, HOME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

USER = "node"
USER_ID = 1000
WORKSPACE = "/workspace"
PYTHON_PREFIX = f"{GUEST}/python"
LIBRARY = f"{GUEST}/lib"
ARGUMENTS_FD = 12
FILTER_FDS = (13, 14)
SIDECAR_PORTS = {"egress": 3128, "supervise": 9100, "git-gate": 9418}

SYSTEM_DIRECTORIES = ("/bin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/sbin", "/usr")
# Of /etc, only what programs need to run and nothing that describes this machine's accounts or network.
SYSTEM_CONFIGURATION = (
    "alternatives", "bash.bashrc", "ca-certificates", "ca-certificates.conf", "crypto-policies", "debian_version",
    "fonts", "gai.conf", "inputrc", "java-17-openjdk", "java-21-openjdk", "ld.so.cache", "ld.so.conf", "ld.so.conf.d",
    "localtime", "lsb-release", "magic", "magic.mime", "mime.types", "nanorc", "networks", "os-release", "perl", "pki",
    "profile", "profile.d", "protocols", "python3", "python3.11", "python3.12", "python3.13", "rpc", "services",
    "shells", "ssl/certs", "ssl/openssl.cnf", "terminfo", "timezone", "vim",
)  # fmt: skip
GUEST_ETC = ("group", "gitconfig", "hosts", "nsswitch.conf", "passwd", "resolv.conf")
_READ_ONLY_IN_USR = Path("/usr")
# What the kernel tells its administrator about the whole machine. To it, a root operator's bottle is that user.
MASKED_FILES = (
    "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/slabinfo", "/proc/timer_list",
    "/proc/timer_stats", "/proc/vmallocinfo",
)  # fmt: skip
_SCRATCH_SHARES = {"/tmp": 4, "/var/tmp": 8, "/dev/shm": 8, "/run": 64}  # noqa: S108 - inside the bottle
_MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Mount:
    """One ``source`` of the host shown at ``target``; read-only unless ``writable``."""

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Sandbox:
    """The whole of a bottle's view: mounts in order, environment, host name."""

    hostname: str
    mounts: tuple[Mount, ...]
    links: tuple[tuple[str, str], ...]
    environ: dict[str, str]
    interpreter: str
    process_limit: int
    disable_userns: bool
    devices: tuple[Mount, ...] = ()
    scratch_memory: int | None = None
    """Bytes of memory of which temporary files take a bounded share; ``None`` where ``bwrap`` sets no bound."""


def system_view() -> tuple[tuple[Mount, ...], tuple[tuple[str, str], ...]]:
    """Return the read-only mounts and the links by which programs of this machine run in a bottle."""
    mounts: list[Mount] = []
    links: list[tuple[str, str]] = []
    for name in SYSTEM_DIRECTORIES:
        path = Path(name)
        if path.is_symlink():
            links.append((os.readlink(path), name))  # noqa: PTH115 - the link's own text
        elif path.is_dir():
            mounts.append(Mount(name, name))
    for name in SYSTEM_CONFIGURATION:
        path = Path("/etc", name)
        if path.exists():
            mounts.append(Mount(str(path.resolve()), str(path)))
    mounts += [Mount(os.devnull, name) for name in MASKED_FILES if os.path.exists(name)]  # noqa: PTH110
    return tuple(mounts), tuple(links)


def interpreter_mounts() -> tuple[tuple[Mount, ...], str]:
    """Return how this Python is shown to the bottle's init, and its path inside."""
    executable = Path(sys.executable).resolve()
    prefix = Path(sys.base_prefix).resolve()
    if prefix.is_relative_to(_READ_ONLY_IN_USR):
        return (), str(executable)
    return (Mount(str(prefix), PYTHON_PREFIX),), f"{PYTHON_PREFIX}/{executable.relative_to(prefix)}"


def guest_mounts(guest: Path) -> tuple[Mount, ...]:
    """Return the mounts of what bottlemux itself puts into a bottle, from the directory ``guest``."""
    own = [Mount(str(guest / "etc" / name), f"/etc/{name}") for name in GUEST_ETC]
    return (Mount(str(guest), GUEST), *own)


def arguments(sandbox: Sandbox) -> list[str]:
    """Return the ``bwrap`` options of ``sandbox``; they are handed over in a descriptor, not on the command line."""
    options = [
        "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try",
        "--uid", str(USER_ID), "--gid", str(USER_ID), "--hostname", sandbox.hostname,
        "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL",
    ]  # fmt: skip
    if sandbox.disable_userns:
        options += ["--disable-userns"]
    options += ["--tmpfs", "/", "--proc", "/proc", "--dev", "/dev"]
    for device in sandbox.devices:
        options += ["--dev-bind", device.source, device.target]
    options += list(_scratch(sandbox.scratch_memory))
    for target, link in sandbox.links:
        options += ["--symlink", target, link]
    options += list(_mounts(sandbox.mounts))
    # The kernel's settings belong to uid 0, which is the bottle's own user where root is the operator, and bwrap
    # leaves them writable: nothing of /proc may be, whatever it is called.
    for place in ("/proc", "/dev", "/"):
        options += ["--remount-ro", place]
    options += ["--chdir", WORKSPACE]
    # For the interpreter of process 1 only, which removes it again.
    options += ["--setenv", "LD_LIBRARY_PATH", f"{PYTHON_PREFIX}/lib"]
    for descriptor in FILTER_FDS:
        options += ["--add-seccomp-fd", str(descriptor)]
    return options


def _scratch(memory: int | None) -> Iterator[str]:
    for directory, share in _SCRATCH_SHARES.items():
        yield from ("--perms", "0755" if directory == "/run" else "1777")
        if memory is not None:
            yield from ("--size", str(max(_MEBIBYTE, memory // share)))
        yield from ("--tmpfs", directory)


def _mounts(mounts: Iterable[Mount]) -> Iterator[str]:
    for mount in mounts:
        yield from ("--bind" if mount.writable else "--ro-bind", mount.source, mount.target)


def init_command(sandbox: Sandbox) -> list[str]:
    """Return the argv of the bottle's first process."""
    ports = [f"{name}={port}" for name, port in SIDECAR_PORTS.items()]
    # -P and -I would hide the directory of the script, where its one import lies.
    return [
        sandbox.interpreter,
        "-E",
        "-s",
        "-S",
        "-B",
        f"{LIBRARY}/init.pyc",
        str(sandbox.process_limit),
        *ports,
    ]


def guest_etc(hostname: str) -> dict[str, str]:
    """Return the bottle's own files of ``/etc`` (but ``gitconfig``), by name."""
    names = " ".join(SIDECAR_PORTS)
    return {
        "passwd": f"{USER}:x:{USER_ID}:{USER_ID}:agent:{HOME}:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        "group": f"{USER}:x:{USER_ID}:\nnogroup:x:65534:\n",
        "hosts": f"127.0.0.1 localhost {names} {hostname}\n::1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        "resolv.conf": "# no name service: every request goes through http://egress:3128\n",
    }
