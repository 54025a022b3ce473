"""The program ``bwrap``: where it is, which version, and whether it works on this machine."""

from __future__ import annotations

import functools
import re
import shutil
from pathlib import Path

from backends.contract import Availability
from bottlemux.errors import BottlemuxError, UnavailableError
from bottlemux.process import run

INSTALL_HINT = "sudo apt-get install bubblewrap"
_USERNS_HINT = (
    "allow unprivileged user namespaces: sudo sysctl kernel.unprivileged_userns_clone=1, or on Ubuntu "
    "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
)
_TIMEOUT_S = 10.0


def find() -> tuple[str, int]:
    """Return where ``bwrap`` is and when it was changed; ``UnavailableError`` when it is not installed."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise UnavailableError("bwrap is not installed", hint=INSTALL_HINT)
    return bwrap, Path(bwrap).stat().st_mtime_ns


@functools.cache
def version(bwrap: str, changed: int) -> tuple[int, ...]:
    """Return the version of ``bwrap`` as numbers; asked once for a file that was last ``changed`` then."""
    del changed
    text = run([bwrap, "--version"], timeout=_TIMEOUT_S).stdout.decode(errors="replace")
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def availability() -> Availability:
    """Try the smallest bottle: a program that does nothing."""
    try:
        words = ["--unshare-user", "--unshare-pid", "--unshare-net", "--ro-bind", "/", "/", "true"]
        result = run([find()[0], *words], timeout=_TIMEOUT_S)
    except BottlemuxError as error:
        return Availability(available=False, reason=error.message, hint=INSTALL_HINT)
    if result.returncode != 0:
        reason = result.stderr.decode(errors="replace").strip() or f"bwrap ended with {result.returncode}"
        return Availability(available=False, reason=reason, hint=_USERNS_HINT)
    return Availability(available=True)
