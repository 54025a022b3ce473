"""System calls that Python has no function for, by their numbers on the machines bottles run on."""

from __future__ import annotations

import ctypes
import os
import platform

from .case import Skipped

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

# Name: x86_64, aarch64. From 424 on every architecture has the same numbers.
_NUMBERS = {
    "acct": (163, 89), "add_key": (248, 217), "bpf": (321, 280), "chroot": (161, 51), "clock_settime": (227, 112),
    "clone": (56, 220), "delete_module": (176, 106), "fanotify_init": (300, 262), "init_module": (175, 105),
    "ioperm": (173, None), "iopl": (172, None), "kexec_load": (246, 104), "keyctl": (250, 219),
    "lookup_dcookie": (212, 18), "modify_ldt": (154, None), "mount": (165, 40), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "perf_event_open": (298, 241), "pivot_root": (155, 41), "prctl": (157, 167),
    "process_vm_readv": (310, 270), "ptrace": (101, 117), "quotactl": (179, 60), "reboot": (169, 142),
    "request_key": (249, 218), "setdomainname": (171, 162), "sethostname": (170, 161), "setns": (308, 268),
    "swapoff": (168, 225), "swapon": (167, 224), "syslog": (103, 116), "umount2": (166, 39), "unshare": (272, 97),
    "userfaultfd": (323, 282), "vhangup": (153, 58), "rt_sigqueueinfo": (129, 138), "tgkill": (234, 131),
    "clone3": (435, 435), "fsconfig": (431, 431), "fsmount": (432, 432), "fsopen": (430, 430), "fspick": (433, 433),
    "io_uring_setup": (425, 425), "mount_setattr": (442, 442), "move_mount": (429, 429), "open_tree": (428, 428),
    "openat2": (437, 437), "pidfd_getfd": (438, 438), "pidfd_open": (434, 434),
}  # fmt: skip
_COLUMN = {"x86_64": 0, "aarch64": 1}


def call(name: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make the system call ``name``; an error is an ``OSError``."""
    column = _COLUMN.get(platform.machine())
    number = _NUMBERS[name][column] if column is not None else None
    if number is None:
        raise Skipped(f"{name} is not known on {platform.machine()}")
    return call_number(number, *arguments)


def call_number(number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make the system call ``number``."""
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result: int = _LIBC.syscall(ctypes.c_long(number), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
