"""What the kernel allows: namespaces, control groups, virtual machines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.lifecycle.checks.model import Check

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bottlemux.lifecycle.context import Context

_SETTINGS = {
    "kernel.unprivileged_userns_clone": "0",
    "kernel.apparmor_restrict_unprivileged_userns": "1",
    "user.max_user_namespaces": "0",
}
"""Kernel settings, and the value that keeps an ordinary user from making a bottle of namespaces."""
_WANTED = {
    "kernel.unprivileged_userns_clone": "1",
    "kernel.apparmor_restrict_unprivileged_userns": "0",
    "user.max_user_namespaces": "15000",
}
_KVM = Path("/dev/kvm")


def check_user_namespaces(_context: Context) -> Iterator[Check]:
    """Look: may this user make namespaces."""
    values = {name: value for name in _SETTINGS if (value := _setting(name)) is not None}
    yield judge_user_namespaces(values, is_root=os.geteuid() == 0)


def _setting(name: str) -> str | None:
    try:
        return Path("/proc/sys", *name.split(".")).read_text("ascii").strip()
    except (OSError, ValueError):
        return None


def judge_user_namespaces(values: Mapping[str, str], *, is_root: bool) -> Check:
    """Say which of the kernel's settings (by name, those it has) is in the way."""
    for name, value in values.items():
        hindering = value == _SETTINGS[name] and (not is_root or name == "user.max_user_namespaces")
        if hindering:
            fix = f"sudo sysctl {name}={_WANTED[name]}"
            return Check("user namespaces", "warning", f"{name} is {value}: bubblewrap may be refused", fix)
    return Check("user namespaces", "ok", "may be made" + (" (as root)" if is_root else ""))


def check_limits(_context: Context) -> Iterator[Check]:
    """Look: can CPU, memory and processes of a bottle be limited."""
    from backends.bubblewrap.limits import Wanted, find_groups

    yield judge_limits(find_groups().missing(Wanted(cpus=1, memory=1, pids=1)))


def judge_limits(missing: Sequence[str]) -> Check:
    """Say which limits cannot be set for want of their control groups."""
    if not missing:
        return Check("limits", "ok", "CPU, memory and processes of a bottle can be limited")
    fix = "log in through systemd with delegated control groups, or run as root"
    return Check("limits", "warning", f"no control groups for {', '.join(missing)}", fix)


def check_kvm(_context: Context) -> Iterator[Check]:
    """Look: could bottles be virtual machines."""
    yield judge_kvm(exists=_KVM.exists(), usable=os.access(_KVM, os.R_OK | os.W_OK))


def judge_kvm(*, exists: bool, usable: bool) -> Check:
    """Say whether ``/dev/kvm`` is there and may be used; only bottles that are virtual machines need it."""
    if not exists:
        return Check("kvm", "ok", "not on this machine; only bottles that are virtual machines need it")
    if not usable:
        return Check(
            "kvm",
            "warning",
            f"{_KVM} is not open to this user",
            "sudo usermod -aG kvm $USER, then log in anew",
        )
    return Check("kvm", "ok", "open to this user; that a machine boots is seen at the first start")
