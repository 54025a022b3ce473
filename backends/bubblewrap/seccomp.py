"""The system call filters of a bubblewrap bottle, as BPF programs.

Two filters apply together, so the stricter answer holds: one knows every call that libseccomp knows and answers
ENOSYS to any newer one, the other refuses what a program in a bottle has no business with. What Docker's default
profile refuses without privileges is refused here as well.
"""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.files import make_private_dir, write_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyseccomp import SyscallFilter

REFUSED_CALLS = (
    # kernel keyrings are not separated by namespaces
    "add_key", "keyctl", "request_key",
    # namespaces and mounts: the way to more kernel surface
    "chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_tree",
    "pivot_root", "setns", "umount", "umount2", "unshare",
    # kernel interfaces with a record of escapes
    "bpf", "fanotify_init", "io_uring_enter", "io_uring_register", "io_uring_setup", "lookup_dcookie",
    "name_to_handle_at", "open_by_handle_at", "perf_event_open", "pidfd_getfd", "userfaultfd", "vhangup",
    # the machine itself
    "acct", "clock_adjtime", "clock_settime", "create_module", "delete_module", "finit_module", "get_kernel_syms",
    "init_module", "ioperm", "iopl", "kexec_file_load", "kexec_load", "modify_ldt", "nfsservctl", "query_module",
    "quotactl", "quotactl_fd", "reboot", "settimeofday", "stime", "swapoff", "swapon", "syslog", "sysfs", "uselib",
    "ustat", "vm86", "vm86old",
)  # fmt: skip
NEW_NAMESPACE_FLAGS = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
# TIOCSTI, TIOCLINUX: typing into the terminal as if a person had; TIOCSETD: loading other line disciplines.
TERMINAL_INJECTION = (0x5412, 0x541C, 0x5423)
# Which argument is the mode. A file with the set-user-id bit in a shared directory would make others of the host the
# operator; a mode only counts where a file is made.
SET_USER_ID = 0o4000
MODE_ARGUMENTS = {
    "chmod": 1,
    "fchmod": 1,
    "fchmodat": 2,
    "fchmodat2": 2,
    "creat": 1,
    "mknod": 1,
    "mknodat": 2,
}
OPEN_ARGUMENTS = {"open": (1, 2), "openat": (2, 3)}
MAKING_FLAGS = (os.O_CREAT, os.O_TMPFILE & ~os.O_DIRECTORY)
# These keep in memory what the filters have to judge, where no filter sees it; libraries fall back to the older call.
HIDDEN_ARGUMENTS = frozenset({"clone3", "openat2"})
ALLOWED_FAMILIES = frozenset({1, 2, 10, 16})  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK
_FAMILY_LIMIT = 64
_SYSCALL_LIMIT = 1024
_LOW_32_BITS = 0xFFFFFFFF


def filters() -> tuple[bytes, bytes]:
    """Return the two BPF programs for this machine's architecture."""
    return _known_calls_only(), _refusals()


def _known_calls_only() -> bytes:
    import pyseccomp

    known = pyseccomp.SyscallFilter(defaction=pyseccomp.ERRNO(errno.ENOSYS))
    known.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)
    for number in range(_SYSCALL_LIMIT):
        name = _name_of(number)
        if name is not None and name not in HIDDEN_ARGUMENTS:
            known.add_rule(pyseccomp.ALLOW, number)
    return _program(known)


def _name_of(number: int) -> str | None:
    import pyseccomp

    try:
        name = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, number)
    except (ValueError, OSError):
        return None
    return name.decode()


def _refusals() -> bytes:
    import pyseccomp

    refuse = pyseccomp.ERRNO(errno.EPERM)
    program = pyseccomp.SyscallFilter(defaction=pyseccomp.ALLOW)
    for name in REFUSED_CALLS:
        if _is_native(name):
            program.add_rule(refuse, name)
    for flag in NEW_NAMESPACE_FLAGS:
        program.add_rule(refuse, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
    for request in TERMINAL_INJECTION:
        program.add_rule(refuse, "ioctl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, _LOW_32_BITS, request))
    _refuse_set_user_id(program)
    for family in set(range(_FAMILY_LIMIT)) - ALLOWED_FAMILIES:
        wanted = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _LOW_32_BITS, family)
        program.add_rule(pyseccomp.ERRNO(errno.EAFNOSUPPORT), "socket", wanted)
    return _program(program)


def _refuse_set_user_id(program: SyscallFilter) -> None:
    import pyseccomp

    refuse = pyseccomp.ERRNO(errno.EPERM)
    for name, position in MODE_ARGUMENTS.items():
        if _is_native(name):
            program.add_rule(
                refuse, name, pyseccomp.Arg(position, pyseccomp.MASKED_EQ, SET_USER_ID, SET_USER_ID)
            )
    for name, (flags, mode) in OPEN_ARGUMENTS.items():
        if _is_native(name):
            for flag in MAKING_FLAGS:
                made = pyseccomp.Arg(flags, pyseccomp.MASKED_EQ, flag, flag)
                bit = pyseccomp.Arg(mode, pyseccomp.MASKED_EQ, SET_USER_ID, SET_USER_ID)
                program.add_rule(refuse, name, made, bit)


def _is_native(name: str) -> bool:
    import pyseccomp

    try:
        return bool(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) >= 0)
    except (ValueError, OSError):
        return False


def _program(rules: SyscallFilter) -> bytes:
    with os.fdopen(os.memfd_create("seccomp"), "w+b") as stream:
        rules.export_bpf(stream)
        stream.seek(0)
        return stream.read()


def cached_filters(cache: Path) -> tuple[bytes, bytes]:
    """Return :func:`filters`, kept below ``cache``: loading libseccomp costs more than all the rest of a launch."""
    key = hashlib.sha256(Path(__file__).read_bytes() + os.uname().machine.encode()).hexdigest()[:16]
    names = [cache / f"seccomp-{key}-{index}.bpf" for index in range(2)]
    try:
        return _read_both(names)
    except FileNotFoundError:
        make_private_dir(cache)
        for name, program in zip(names, filters(), strict=True):
            write_atomic(name, program)
        return _read_both(names)


def _read_both(names: Sequence[Path]) -> tuple[bytes, bytes]:
    first, second = (name.read_bytes() for name in names)
    if not first or not second:
        raise FileNotFoundError("an empty filter is no filter")
    return first, second
