"""Kernel interfaces that no program of a bottle has business with: namespaces, mounts, and those with a record."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import signal
import struct
from typing import TYPE_CHECKING

from .calls import call, call_number
from .case import Broken, Skipped, Table, Targets, refused

if TYPE_CHECKING:
    from collections.abc import Callable

TABLE = Table("kernel")
_NAMESPACES = {
    "time": 0x80, "mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000,
    "pid": 0x20000000, "net": 0x40000000,
}  # fmt: skip
_AT_FDCWD = -100
_X32_BIT = 0x40000000


@TABLE.case("unshare", "leave each namespace")
def _unshare(_: Targets) -> str:
    outcomes = {refused(name, call, "unshare", flag) for name, flag in _NAMESPACES.items()}
    return ", ".join(sorted(outcomes))


@TABLE.case("clone", "start a process in each new namespace, by clone and clone3")
def _clone(_: Targets) -> str:
    for name, flag in _NAMESPACES.items():
        if name != "time":  # clone has no flag for it
            refused(name, _clone_into, flag)
    arguments = ctypes.create_string_buffer(struct.pack("11Q", 0x10000000, 0, 0, 0, signal.SIGCHLD, *[0] * 6))
    return refused("clone3 with a user namespace", call, "clone3", arguments, 88)


def _clone_into(flag: int) -> None:
    if call("clone", flag | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)


@TABLE.case("setns", "enter namespaces of any process")
def _setns(_: Targets) -> str:
    for process in ("1", "self"):
        for name in ("user", "mnt", "net", "pid", "ipc", "uts", "cgroup"):
            try:
                descriptor = os.open(f"/proc/{process}/ns/{name}", os.O_RDONLY)
            except OSError:
                continue
            refused(f"setns to {process}'s {name}", call, "setns", descriptor, 0)
    descriptor = call("pidfd_open", os.getppid(), 0)
    return refused("setns by pidfd", call, "setns", descriptor, 0x10000000)


@TABLE.case("mounts", "mount, remount, unmount, move, change the root, by the old calls and the new ones")
def _mounts(_: Targets) -> str:
    attempts: dict[str, Callable[[], object]] = {
        "mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "remount": lambda: call("mount", b"none", b"/", None, 32, None),
        "bind": lambda: call("mount", b"/proc", b"/tmp", None, 4096, None),
        "umount2": lambda: call("umount2", b"/proc", 2),
        "pivot_root": lambda: call("pivot_root", b"/tmp", b"/tmp"),
        "chroot": lambda: call("chroot", b"/tmp"),
        "fsopen": lambda: call("fsopen", b"tmpfs", 0),
        "fspick": lambda: call("fspick", _AT_FDCWD, b"/", 0),
        "open_tree": lambda: call("open_tree", _AT_FDCWD, b"/", 1),
        "move_mount": lambda: call("move_mount", _AT_FDCWD, b"/tmp", _AT_FDCWD, b"/home", 0),
        "mount_setattr": lambda: call("mount_setattr", _AT_FDCWD, b"/", 0, bytes(32), 32),
    }
    return ", ".join(sorted({refused(name, attempt) for name, attempt in attempts.items()}))


_INTERFACES: dict[str, Callable[[], object]] = {
    "bpf": lambda: call("bpf", 0, struct.pack("IIIII", 1, 4, 4, 1, 0) + bytes(100), 120),
    "perf_event_open": lambda: call("perf_event_open", struct.pack("II", 1, 112) + bytes(104), 0, -1, -1, 0),
    "io_uring_setup": lambda: call("io_uring_setup", 4, ctypes.create_string_buffer(120)),
    "userfaultfd": lambda: call("userfaultfd", 1),
    "fanotify_init": lambda: call("fanotify_init", 0x200, 0),
    "name_to_handle_at": lambda: call(
        "name_to_handle_at",
        _AT_FDCWD,
        b"/",
        ctypes.create_string_buffer(b"\x80", 200),
        ctypes.create_string_buffer(8),
        0,
    ),
    "open_by_handle_at": lambda: call("open_by_handle_at", _AT_FDCWD, struct.pack("Ii", 8, 1) + bytes(8), 0),
    "add_key": lambda: call("add_key", b"user", b"x", b"y", 1, -3),
    "keyctl": lambda: call("keyctl", 0, -3, 1),
    "request_key": lambda: call("request_key", b"user", b"x", None, 0),
    "init_module": lambda: call("init_module", b"", 0, b""),
    "delete_module": lambda: call("delete_module", b"no-such-module", 0),
    "kexec_load": lambda: call("kexec_load", 0, 0, None, 0),
    "reboot": lambda: call("reboot", 0, 0, 0, None),
    "swapon": lambda: call("swapon", b"/no/such/file", 0),
    "swapoff": lambda: call("swapoff", b"/no/such/file"),
    "acct": lambda: call("acct", b"/no/such/file"),
    "quotactl": lambda: call("quotactl", 0x80000700, b"/", 0, None),
    "syslog": lambda: call("syslog", 3, ctypes.create_string_buffer(10), 10),
    "clock_settime": lambda: call("clock_settime", 0, struct.pack("qq", 1, 2_000_000_000)),
    "vhangup": lambda: call("vhangup"),
    "lookup_dcookie": lambda: call("lookup_dcookie", 0, None, 0),
    "pidfd_getfd": lambda: call("pidfd_getfd", call("pidfd_open", os.getppid(), 0), 0, 0),
    "openat2": lambda: call("openat2", _AT_FDCWD, b"/tmp/x", struct.pack("QQQ", os.O_CREAT, 0o4755, 0), 24),
}
_INTERFACES_OF_X86: dict[str, Callable[[], object]] = {
    "iopl": lambda: call("iopl", 3),
    "ioperm": lambda: call("ioperm", 0, 1, 1),
    "modify_ldt": lambda: call("modify_ldt", 0, ctypes.create_string_buffer(16), 16),
}


def _interface(name: str, attempt: Callable[[], object]) -> None:
    @TABLE.case(name, f"the system call {name}")
    def _one(_: Targets) -> str:
        return refused(name, attempt)


for _name, _attempt in _INTERFACES.items():
    _interface(_name, _attempt)
if platform.machine() == "x86_64":
    for _name, _attempt in _INTERFACES_OF_X86.items():
        _interface(_name, _attempt)


@TABLE.case(
    "x32",
    "the x32 form of a system call, which a filter of numbers may miss",
    "refused, or the caller is killed",
)
def _x32(_: Targets) -> str:
    if platform.machine() != "x86_64":
        raise Skipped("not on this machine")
    try:
        call_number(_X32_BIT | 39)
    except OSError as error:
        return os.strerror(error.errno or errno.ENOSYS)
    raise Broken("getpid by its x32 number was answered")


@TABLE.case("i386", "the 32-bit entry to the kernel", "refused, or the caller is killed")
def _i386(_: Targets) -> str:
    if platform.machine() != "x86_64":
        raise Skipped("not on this machine")
    child = os.fork()
    if child == 0:
        os._exit(_getpid_by_int80())
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    if os.WEXITSTATUS(status):
        raise Broken("int 0x80 was answered")
    return "refused"


def _getpid_by_int80() -> int:
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20; int 0x80; ret
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    return 1 if int(function()) > 0 else 0
