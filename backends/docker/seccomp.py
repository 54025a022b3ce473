"""The system call filter of an agent's container, as the engine takes it: what a bubblewrap bottle may, and no more.

It stands in place of the engine's default profile and is stricter: calls that libseccomp does not know are refused,
and so are kernel interfaces, other architectures' calls, set-user-id bits and typing into the terminal. The engine
takes one list of what is allowed, so each refusal of an argument is written as all the values that remain.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.bubblewrap import seccomp as rules
from bottlemux.files import make_private_dir, write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALLOW = "SCMP_ACT_ALLOW"
_MASKED = "SCMP_CMP_MASKED_EQ"
_EQUAL_32 = 0xFFFFFFFF
_LIMIT = 1024
_TERMINAL_BLOCK = 64
"""All refused requests of terminals lie in one aligned block of this many numbers; outside of it, all are allowed."""

_SIGNALLING = ("rt_sigqueueinfo", "rt_tgsigqueueinfo", "tgkill", "tkill")
"""Their first argument is a process. While many signals wait, the kernel does not note who sends one of these, and
process 1 would take it for an order from outside."""
_HIDDEN = rules.HIDDEN_ARGUMENTS | {"pidfd_send_signal"}


def cached_profile(cache: Path) -> str:
    """Return the profile as JSON, kept below ``cache``: loading libseccomp takes longer than all the rest."""
    source = Path(__file__).read_bytes() + Path(rules.__file__).read_bytes() + os.uname().machine.encode()
    known = cache / f"seccomp-docker-{hashlib.sha256(source).hexdigest()[:16]}.json"
    try:
        return known.read_text("utf-8")
    except FileNotFoundError:
        make_private_dir(cache)
        text = json.dumps(profile())
        write_atomic(known, text)
        return text


def profile() -> dict[str, Any]:
    """Return the profile for this machine's architecture."""
    special = {"clone", "ioctl", "socket", *_SIGNALLING, *rules.MODE_ARGUMENTS, *rules.OPEN_ARGUMENTS}
    refused = {*rules.REFUSED_CALLS, *_HIDDEN}
    known = set(_known_calls())
    hidden = sorted(known & _HIDDEN)
    entries = [
        _entry(sorted(known - special - refused)),
        # An error by which programs fall back to the older call, whose arguments can be judged.
        {"names": hidden, "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
        _entry(["clone"], _masked(0, _union(rules.NEW_NAMESPACE_FLAGS), 0)),
        *(_entry(["socket"], _masked(0, _EQUAL_32, family)) for family in sorted(rules.ALLOWED_FAMILIES)),
        *(_entry(["ioctl"], argument) for argument in _terminal_requests()),
        *(_entry([name], argument) for name in _SIGNALLING for argument in _not_process_1()),
        *(
            _entry([name], _masked(position, rules.SET_USER_ID, 0))
            for name, position in rules.MODE_ARGUMENTS.items()
            if name in known
        ),
        *_opening(known),
    ]
    return {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": errno.EPERM, "syscalls": entries}


def _known_calls() -> Iterator[str]:
    import pyseccomp

    for number in range(_LIMIT):
        try:
            yield pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, number).decode()
        except (ValueError, OSError):
            continue


def _opening(known: set[str]) -> Iterator[dict[str, Any]]:
    """Allow opening without making a file, or making one whose mode has no set-user-id bit."""
    for name, (flags, mode) in rules.OPEN_ARGUMENTS.items():
        if name in known:
            yield _entry([name], _masked(flags, _union(rules.MAKING_FLAGS), 0))
            yield _entry([name], _masked(mode, rules.SET_USER_ID, 0))


def _terminal_requests() -> Iterator[dict[str, Any]]:
    """Yield conditions that together hold for every 32-bit request but the refused ones."""
    block = min(rules.TERMINAL_INJECTION) // _TERMINAL_BLOCK * _TERMINAL_BLOCK
    for bit in range(_TERMINAL_BLOCK.bit_length() - 1, 32):
        yield _masked(1, 1 << bit, ~block & (1 << bit))
    for request in range(block, block + _TERMINAL_BLOCK):
        if request not in rules.TERMINAL_INJECTION:
            yield _masked(1, _EQUAL_32, request)


def _not_process_1() -> Iterator[dict[str, Any]]:
    """Yield conditions of which one holds for every 32-bit process id but 1."""
    yield _masked(0, 1, 0)
    for bit in range(1, 32):
        yield _masked(0, 1 << bit, 1 << bit)


def _union(flags: tuple[int, ...]) -> int:
    combined = 0
    for flag in flags:
        combined |= flag
    return combined


def _masked(index: int, mask: int, value: int) -> dict[str, Any]:
    return {"index": index, "value": mask, "valueTwo": value, "op": _MASKED}


def _entry(names: list[str], *arguments: dict[str, Any]) -> dict[str, Any]:
    return {"names": names, "action": _ALLOW, "args": list(arguments)}
