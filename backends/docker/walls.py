"""What an engine has no setting for, done from outside to the container of an agent that has not started yet.

Only where the operator is root on the engine's machine. A thread of ours enters the container's mount and network
namespaces and takes away what is too much there; and it puts the operator's directories in, so mapped that they
belong to the agent's user inside, while on the disk they remain their owner's.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backends.docker.endpoint import is_elsewhere
from bottlemux.errors import BottlemuxError, UsageError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_AT_FDCWD, _AT_NOFOLLOW, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x100, 0x1000, 0x8000
_CLONE_TREE, _CLOSE_ON_EXEC = 1, os.O_CLOEXEC
_MOVE_EMPTY_PATH = 4
_DETACH = 2
_READ_ONLY, _NO_SET_USER_ID, _NO_DEVICES, _MAP_OWNERS = 0x1, 0x2, 0x4, 0x100000
_ALL_IDS = 0xFFFFFFFF
_CAP_SYS_ADMIN = 21
# The engine itself writes to /proc when it starts a program.
_WRITABLE = (b"/proc", b"/dev/pts", b"/dev/shm", b"/dev/mqueue", b"/run", b"/tmp", b"/var/tmp")
_RESOLVER = "127.0.0.11"
_NEW_ROUTE, _DELETE_ROUTE = 24, 25
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


@dataclass(frozen=True)
class Tree:
    """A directory of this machine for the bottle. ``read_only`` and ``pinned`` are names in it, see ``Protection``."""

    source: Path
    target: str
    read_only: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()


def can_be_built() -> bool:
    """Say whether this process may enter containers."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        status = Path("/proc/self/status").read_text("ascii")
        effective = int(status.partition("CapEff:")[2].split()[0], 16)
        return os.geteuid() == 0 and bool(effective >> _CAP_SYS_ADMIN & 1)
    return False


def are_built(endpoint: str) -> bool:
    """Say whether a bottle of the engine at ``endpoint`` has its walls finished from outside."""
    return can_be_built() and not is_elsewhere(endpoint)


def check(directory: Path) -> None:
    """Raise ``UsageError`` where the files of ``directory``, or the first above that exists, can get no other owner."""
    place = next(path for path in (directory, *directory.parents) if path.is_dir())
    try:
        with _mapped(Tree(place, ""), (1, 1)):
            return
    except OSError as error:
        raise UsageError(
            f"you are root, and the files of {str(place)!r} cannot be shown to the bottle's user as its own: "
            f"{error.strerror} (it takes Linux 5.12 and a file system with ID-mapped mounts)",
            hint="run bottlemux as an ordinary user in the docker group",
        ) from error


def build(process: int, trees: Sequence[Tree]) -> None:
    """Finish the walls around ``process``, which is a container's process 1: its mounts, its owner, its routes.

    Nothing of the agent's may run in there yet.
    """
    try:
        _build(process, trees)
    except OSError as error:
        raise BottlemuxError(f"cannot finish the bottle's walls: {error.strerror}") from error


def _build(process: int, trees: Sequence[Tree]) -> None:
    status = Path(f"/proc/{process}/status").read_text("ascii")
    user, group = (int(status.partition(f"{name}:")[2].split()[0]) for name in ("Uid", "Gid"))
    with contextlib.ExitStack() as stack:
        spaces = [
            os.open(f"/proc/{process}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in ("mnt", "net")
        ]
        for space, name in zip(spaces, ("mnt", "net"), strict=True):
            stack.callback(os.close, space)
            if os.path.samestat(os.fstat(space), os.stat(f"/proc/self/ns/{name}")):  # noqa: PTH116
                raise BottlemuxError("cannot finish the bottle's walls: its first process has ended")
        mapped = [(stack.enter_context(_mapped(tree, (user, group))), tree) for tree in trees]
        failures: list[OSError] = []
        # The namespaces are the thread's own, and end with it.
        thread = threading.Thread(target=_inside, args=(spaces, mapped, failures))
        thread.start()
        thread.join()
    if failures:
        raise failures[0]


@contextlib.contextmanager
def _mapped(tree: Tree, owner: tuple[int, int]) -> Generator[int]:
    """Yield a mount of ``tree`` that is nowhere yet, in which its owner and ``owner`` have changed places."""
    facts = tree.source.stat()
    flags = _CLONE_TREE | _CLOSE_ON_EXEC | _AT_RECURSIVE | _AT_NOFOLLOW
    mount = _call(_OPEN_TREE, _AT_FDCWD, os.fsencode(tree.source), flags)
    try:
        with _namespace((facts.st_uid, owner[0]), (facts.st_gid, owner[1])) as space:
            wanted = _MAP_OWNERS | _NO_SET_USER_ID | _NO_DEVICES
            _set(mount, b"", _AT_EMPTY_PATH | _AT_RECURSIVE, wanted, space)
        yield mount
    finally:
        os.close(mount)


@contextlib.contextmanager
def _namespace(users: tuple[int, int], groups: tuple[int, int]) -> Generator[int]:
    """Yield a user namespace in which each pair of ids has changed places."""
    with subprocess.Popen(
        ["unshare", "--user", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as holder:
        try:
            if holder.stdin is None or holder.stdout is None:
                raise OSError("no pipes")
            holder.stdin.write(b"\n")
            holder.stdout.read(1)  # by now it is in its namespace
            place = Path(f"/proc/{holder.pid}")
            (place / "uid_map").write_text(_exchange(*users))
            (place / "gid_map").write_text(_exchange(*groups))
            space = os.open(place / "ns" / "user", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            holder.kill()
    try:
        yield space
    finally:
        os.close(space)


def _exchange(one: int, other: int) -> str:
    """Return a map of all ids to themselves, but for two that change places."""
    low, high = sorted((one, other))
    if low == high:
        return f"0 0 {_ALL_IDS}\n"
    parts = [
        (0, 0, low),
        (low, high, 1),
        (low + 1, low + 1, high - low - 1),
        (high, low, 1),
        (high + 1, high + 1, _ALL_IDS - high - 1),
    ]
    return "".join(f"{inside} {outside} {count}\n" for inside, outside, count in parts if count)


def _inside(spaces: list[int], trees: list[tuple[int, Tree]], failures: list[OSError]) -> None:
    try:
        os.unshare(os.CLONE_FS)
        for space in spaces:
            os.setns(space)
        _set(_AT_FDCWD, b"/", _AT_RECURSIVE, _NO_SET_USER_ID | _READ_ONLY)
        for place in _WRITABLE:
            with contextlib.suppress(OSError):  # nothing is mounted there
                _set(_AT_FDCWD, place, 0, 0, clear=_READ_ONLY)
        for mount, tree in trees:
            _put(mount, tree)
        _close_routes()
    except OSError as error:
        failures.append(error)


def _put(mount: int, tree: Tree) -> None:
    """Put ``mount`` in the place of what the engine mounted there."""
    target = tree.target.encode()
    _call_libc("umount2", target, _DETACH)
    _call(_MOVE_MOUNT, mount, b"", _AT_FDCWD, target, _MOVE_EMPTY_PATH)
    for names, attributes in ((tree.pinned, 0), (tree.read_only, _READ_ONLY)):
        for name in names:
            place = f"{tree.target}/{name}".encode()
            flags = _CLONE_TREE | _CLOSE_ON_EXEC | _AT_RECURSIVE | _AT_NOFOLLOW
            part = _call(_OPEN_TREE, _AT_FDCWD, place, flags)
            try:
                _set(part, b"", _AT_EMPTY_PATH | _AT_RECURSIVE, attributes)
                _call(_MOVE_MOUNT, part, b"", _AT_FDCWD, place, _MOVE_EMPTY_PATH)
            finally:
                os.close(part)


def _close_routes() -> None:
    """Leave no default route, and none to the engine's own name service."""
    everywhere = struct.pack("BBBBBBBBI", socket.AF_INET, 0, 0, 0, 254, 0, 255, 0, 0)
    address = struct.pack("HH", 8, 1) + socket.inet_aton(_RESOLVER)
    nowhere = struct.pack("BBBBBBBBI", socket.AF_INET, 32, 0, 0, 255, 4, 0, 7, 0) + address
    with contextlib.suppress(ProcessLookupError):  # there was none
        _ask_kernel(_DELETE_ROUTE, 0x5, everywhere)
    _ask_kernel(_NEW_ROUTE, 0x5 | 0x400, nowhere)


def _ask_kernel(kind: int, flags: int, body: bytes) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:
        link.send(struct.pack("IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        (number,) = struct.unpack_from("i", link.recv(4096), 16)
    if number:
        raise OSError(-number, os.strerror(-number))


def _set(place: int, path: bytes, flags: int, attributes: int, space: int = 0, clear: int = 0) -> None:
    wanted = struct.pack("4Q", attributes, clear, 0, space)
    _call(_MOUNT_SETATTR, place, path, flags, wanted, len(wanted))


def _call(number: int, *arguments: int | bytes) -> int:
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    return _checked(_LIBC.syscall(ctypes.c_long(number), *words))


def _call_libc(name: str, *arguments: int | bytes) -> None:
    _checked(getattr(_LIBC, name)(*arguments))


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
