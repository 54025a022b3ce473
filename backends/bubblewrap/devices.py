"""Device nodes of a bottle's own, for an operator whose user owns the machine's.

Root's bottle runs as the owner of ``/dev/null``: it could change that node's mode for the whole machine.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from backends.bubblewrap.sandbox import Mount
from bottlemux.files import make_private_dir

if TYPE_CHECKING:
    from bottlemux.paths import BottlePaths

NAMES = ("full", "null", "random", "tty", "urandom", "zero")
_HOST = Path("/dev")


def are_needed() -> bool:
    """Say whether the user of this process owns the machine's device nodes."""
    return (_HOST / "null").stat().st_uid == os.getuid()


def can_be_made(directory: Path) -> bool:
    """Say whether device nodes work below ``directory`` (or its nearest parent that exists)."""
    nearest = next(path for path in (directory, *directory.parents) if path.exists())
    return not os.statvfs(nearest).f_flag & os.ST_NODEV


def mounts(files: BottlePaths) -> tuple[Mount, ...]:
    """Return the nodes to show in place of the machine's; none where they need no protection or cannot be made."""
    if not are_needed() or not can_be_made(files.devices):
        return ()
    return tuple(Mount(str(files.devices / name), f"/dev/{name}", writable=True) for name in NAMES)


def make(files: BottlePaths) -> None:
    """Make the nodes, with the machine's numbers. Raises ``OSError`` where this user may not."""
    make_private_dir(files.devices)
    for name in NAMES:
        number = (_HOST / name).stat().st_rdev
        with contextlib.suppress(FileNotFoundError):
            (files.devices / name).unlink()
        os.mknod(files.devices / name, stat.S_IFCHR | 0o666, number)
        (files.devices / name).chmod(0o666)
