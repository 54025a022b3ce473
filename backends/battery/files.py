"""Files, devices and kernel settings outside what is the agent's."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from .case import Broken, Skipped, Table, Targets, fails, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = Table("files")
_DEVICES = frozenset({"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"})
_READ_ONLY = (
    "/",
    "/bin",
    "/etc",
    "/lib",
    "/run/bottlemux",
    "/sbin",
    "/usr",
    "/usr/bin",
    "/usr/local",
    "/opt",
)
# An engine writes to /proc when it starts a program; what an agent may is for files.kernel-settings to say.
_WRITABLE_MOUNTS = ("/dev/", "/home/node", "/run", "/tmp", "/var/tmp", "/workspace")  # noqa: S108 - inside the bottle
_OF_THE_MACHINE = (
    "/etc/shadow", "/etc/sudoers", "/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key", "/root/.ssh",
    "/var/lib/docker", "/var/log/syslog", "/var/log/auth.log", "/boot", "/lost+found", "/proc/kcore", "/proc/kmsg",
    "/proc/keys", "/proc/timer_list", "/proc/slabinfo", "/proc/vmallocinfo", "/sys/kernel/security", "/sys/fs/cgroup",
)  # fmt: skip
_TMPFS_SHARE = 0.6


@TABLE.case("system", "write to the system's directories")
def _system(_: Targets) -> str:
    outcome = ""
    for directory in _READ_ONLY:
        if Path(directory).is_dir():
            outcome = refused(directory, Path(directory, ".battery").write_bytes, b"")
    return outcome


@TABLE.case("kernel-settings", "open any file of /proc for writing that is not of a process")
def _kernel_settings(_: Targets) -> str:
    opened = [path for path in _settings("/proc") if _opens_for_writing(path)]
    if opened:
        raise Broken(f"{len(opened)} can be opened, {opened[0]} among them")
    return "none"


@TABLE.case("sysfs", "open any file of /sys for writing")
def _sysfs(_: Targets) -> str:
    opened = next((path for path in _settings("/sys") if _opens_for_writing(path)), None)
    if opened:
        raise Broken(f"{opened} can be opened")
    return "none"


def _settings(root: str) -> Iterator[str]:
    for directory, names, files in os.walk(root):
        if directory == "/proc":
            names[:] = [name for name in names if not name.isdigit() and name not in {"self", "thread-self"}]
        yield from (f"{directory}/{name}" for name in files)


def _opens_for_writing(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW))
    except OSError:
        return False
    # Docker shows /dev/null in place of what is masked.
    return not stat.S_ISCHR(os.stat(path).st_mode)  # noqa: PTH116


@TABLE.case("devices", "device nodes of the machine", "the harmless ones only")
def _devices(_: Targets) -> str:
    names = [path.name for path in Path("/dev").iterdir() if not path.is_symlink() and not path.is_dir()]
    if extra := set(names) - _DEVICES - {"core", "fd"}:
        raise Broken(f"also {' '.join(sorted(extra))}")
    return " ".join(sorted(names))


@TABLE.case("mknod", "make a device node")
def _mknod(_: Targets) -> str:
    outcome = ""
    for directory in ("/tmp", "/workspace", "/home/node"):  # noqa: S108 - inside the bottle
        for device in (os.makedev(1, 1), os.makedev(8, 0)):
            path = f"{directory}/.battery-node"
            outcome = refused(path, os.mknod, path, 0o600 | stat.S_IFBLK, device)
    return outcome


@TABLE.case("host", "files of the operator and of the machine", "not there, or not readable")
def _host(targets: Targets) -> str:
    for path in filter(None, (*_OF_THE_MACHINE, targets.file)):
        fails(path, _read_something, path)
    if others := [path.name for path in Path("/home").iterdir() if path.name != "node"]:
        raise Broken(f"other homes: {' '.join(others)}")
    return "none"


def _read_something(path: str) -> None:
    """Read from ``path``. Where a container hides something it shows an empty directory or ``/dev/null``."""
    if Path(path).is_dir():
        found: object = os.listdir(path)
    else:
        with open(path, "rb") as stream:  # noqa: PTH123
            found = stream.read(1)
    if not found:
        raise FileNotFoundError(errno.ENOENT, "nothing there")


@TABLE.case(
    "ways-round", "reach the operator's file by /proc/*/root, cwd, and .. from every mount", "not there"
)
def _ways_round(targets: Targets) -> str:
    if not targets.file:
        raise Skipped("no file of the operator was named")
    name = targets.file.lstrip("/")
    roots = [
        "/proc/self/root",
        "/proc/1/root",
        "/proc/1/cwd",
        *(f"/proc/{os.getppid()}/{way}" for way in ("root", "cwd")),
    ]
    roots += [f"{mount[1]}/{'../' * 12}" for mount in _mount_table()]
    for root in roots:
        fails(root, _read_something, f"{root}/{name}")
    return f"{len(roots)} ways, none leads out"


def _mount_table() -> list[list[str]]:
    return [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]


@TABLE.case("mounts", "mounts that are writable or honour set-user-id bits", "the agent's own, and none")
def _mounts(_: Targets) -> str:
    found = [
        mount
        for number, mount in zip(_mount_ids(), _mount_table(), strict=True)
        if _is_on_top(number, mount[1])
    ]
    lenient = [mount[1] for mount in found if "nosuid" not in mount[3].split(",")]
    for _source, place, kind, options, *_rest in found:
        own = place.startswith(_WRITABLE_MOUNTS) or place == "/proc"
        if "rw" not in options.split(",") or own or _is_hidden(place):
            continue
        if os.access(place, os.W_OK):
            raise Broken(f"{place} ({kind}) is writable")
        lenient.append(place)
    if lenient and not _no_new_privileges():
        raise Broken(f"{lenient[0]} honours set-user-id bits, or is only protected by its mode")
    if lenient:
        raise Skipped(
            f"{len(lenient)} mounts, {lenient[0]} among them, have only modes and no-new-privileges as guard"
        )
    return f"{len(found)} mounts"


def _mount_ids() -> list[str]:
    return [line.split(maxsplit=1)[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def _is_on_top(number: str, place: str) -> bool:
    """Say whether ``place`` leads into this mount, as far as may be looked: another one may cover it."""
    name = place.encode().decode("unicode_escape").encode("latin-1")
    try:
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW)
    except OSError as error:
        return error.errno == errno.EACCES
    try:
        return f"mnt_id:\t{number}\n" in Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    finally:
        os.close(descriptor)


def _no_new_privileges() -> bool:
    return "NoNewPrivs:\t1" in Path("/proc/self/status").read_text()


def _is_hidden(place: str) -> bool:
    """A container shows ``/dev/null`` in place of a file that is masked, and nothing below a directory."""
    try:
        return os.stat(place).st_rdev == os.makedev(1, 3)  # noqa: PTH116
    except OSError:
        return True


@TABLE.case("temporary-files", "fill the machine's memory by way of temporary files", "bounded")
def _temporary_files(_: Targets) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    places = [mount[1] for mount in _mount_table() if mount[2] == "tmpfs" and "rw" in mount[3].split(",")]
    total = 0
    for place in {place for place in places if os.access(place, os.W_OK) and os.path.isdir(place)}:  # noqa: PTH112
        space = os.statvfs(place)
        total += (space.f_blocks or memory) * space.f_frsize
    if total > memory * _TMPFS_SHARE:
        raise Broken(f"up to {total >> 20} MiB of {memory >> 20} MiB memory")
    return f"at most {total >> 20} of {memory >> 20} MiB"


@TABLE.case(
    "protected", "change what a host tool would run of a mounted project: hooks, settings, editors' tasks"
)
def _protected(_: Targets) -> str:
    names = [
        mount[1]
        for mount in _mount_table()
        if mount[1].startswith("/workspace/") and "ro" in mount[3].split(",")
    ]
    if not names:
        raise Skipped("the workspace is not a mounted project")
    for name in names:
        place = Path(name)
        if place.is_dir():
            refused(name, (place / ".battery").write_bytes, b"")
        else:
            refused(name, place.open, "ab")
        fails(name, place.rename, f"{place}.battery")
        refused(name, place.chmod, 0o777)
    return f"{len(names)} names"
