"""The machine's workload, as its root: make the bottle's view, then carry the sidecars' ports to their sockets.

Standard library only, and nothing newer than Python 3.8: it runs in any image's Python. Until it has written
``READY``, no program is let in; when it ends, the bottle is without network.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Any

    Mount = Callable[[str, str, str, int, str], None]
    Carry = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HERE = os.path.dirname(os.path.abspath(__file__))
READY = "/run/bottlemux-ready"
_CHUNK = 65536
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_SHARED_PERCENT = 12
_DEVICES = frozenset(
    {"console", "fd", "full", "null", "ptmx", "random", "stderr", "stdin", "stdout", "tty", "urandom", "zero"}
)
_PR_SET_DUMPABLE = 4
_MASKED = ("/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/slabinfo",
           "/proc/sysrq-trigger", "/proc/timer_list", "/proc/timer_stats", "/proc/vmallocinfo")  # fmt: skip


def make_view(settings: dict[str, Any], mount: Mount) -> None:
    """Mount what programs expect, and take away what the agent must not see or change."""
    mount("none", "/", "", _REC | _PRIVATE, "")
    for name in settings["etc"]:
        target = f"/etc/{name}"
        if not os.path.exists(target):
            with open(target, "w", encoding="utf-8"):
                pass
        mount(os.path.join(settings["guest"], "etc", name), target, "", _BIND, "")
    if os.path.exists(settings["bundle"]):
        mount(settings["certificate"], settings["bundle"], "", _BIND, "")
    for name in settings["pinned"]:
        mount(name, name, "", _BIND, "")
    for name in settings["read_only"]:
        mount(name, name, "", _BIND, "")
        mount("none", name, "", _BIND | _REMOUNT | _RDONLY | _NOSUID | _NODEV, "")
    for name in settings["writable"]:
        if not os.path.isdir(name):
            continue
        mount(name, name, "", _BIND | _REC, "")
        mount("none", name, "", _BIND | _REMOUNT | _NOSUID | _NODEV, "")
    _hide(mount)
    mount("none", "/", "", _BIND | _REMOUNT | _NOSUID | _NODEV, "")
    os.chmod(settings["sockets"], 0o700)


def _hide(mount: Mount) -> None:
    """Leave of the kernel's file systems, and of smolvm's own disk, what a program of the agent needs."""
    quiet = _NOSUID | _NODEV | _NOEXEC
    mount("proc", "/proc", "proc", _RDONLY | quiet, "hidepid=2")
    for name in _MASKED:
        if os.path.exists(name):
            mount(os.devnull, name, "", _BIND, "")
    for name in ("/sys", "/storage"):
        if os.path.isdir(name):
            mount("tmpfs", name, "tmpfs", _RDONLY | quiet, "size=4k,mode=0555")
    mount("tmpfs", "/dev/shm", "tmpfs", quiet, f"size={_SHARED_PERCENT}%,mode=1777")  # noqa: S108 - in the machine
    for name in os.listdir("/dev"):
        if not os.path.isdir(f"/dev/{name}") and name not in _DEVICES:
            os.unlink(f"/dev/{name}")
    if os.path.isdir("/dev/net"):
        mount("tmpfs", "/dev/net", "tmpfs", _RDONLY | quiet, "size=4k,mode=0555")


def check_owner() -> None:
    """Refuse an image in which what root runs is somebody else's: the agent could make itself root by it."""
    program = os.path.realpath(sys.executable)
    places = {
        "/",
        "/etc",
        "/usr",
        "/usr/bin",
        "/bin",
        program,
        os.path.dirname(program),
        os.path.dirname(os.__file__),
    }
    for place in places:
        status = os.stat(place)
        if status.st_uid != 0 or status.st_mode & 0o022:
            raise OSError(errno.EPERM, f"{place} is not root's alone: the image has lost its owners")


def _mounter() -> Mount:
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
        if libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), f"mount {target}: {os.strerror(ctypes.get_errno())}")

    return mount


async def serve(ports: Sequence[tuple[int, str]]) -> None:
    """Carry each port of ``ports`` (number to socket) until this process is ended."""
    for port, path in ports:
        await asyncio.start_server(_carrier(path), "127.0.0.1", port, backlog=256)
    with open(READY, "w", encoding="utf-8"):
        pass
    await asyncio.Event().wait()


def _carrier(path: str) -> Carry:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_unix_connection(path)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))
        for one in (writer, there_writer):
            one.close()

    return carry


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy to the end and pass the end on; a side that breaks off ends the other."""
    try:
        while True:
            data = await reader.read(_CHUNK)
            if not data:
                break
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except (OSError, RuntimeError):
        writer.transport.abort()


def main() -> None:
    """Read the settings beside this file, and serve."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if os.path.exists(READY):
        os.unlink(READY)
    with open(os.path.join(HERE, "init.json"), encoding="utf-8") as stream:
        settings = json.load(stream)
    check_owner()
    make_view(settings, _mounter())
    asyncio.run(serve(settings["ports"]))


if __name__ == "__main__":
    main()
