"""Writing and reading files so that a crash or a reader never sees half of one."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError

if TYPE_CHECKING:
    from pathlib import Path


def require_private(path: Path) -> Path:
    """Return the directory ``path`` if it belongs to this user and to nobody else; ``BottlemuxError`` otherwise."""
    status = path.stat()
    if status.st_uid != os.getuid():
        raise BottlemuxError(
            f"{path} belongs to another user", hint="choose another with BOTTLEMUX_STATE_DIR"
        )
    if status.st_mode & 0o022:
        raise BottlemuxError(f"{path} can be written by others", hint=f"chmod 700 {path}")
    return path


def make_private_dir(path: Path) -> Path:
    """Make ``path`` and its missing parents, each 0700; return it. Idempotent."""
    if not path.is_dir():
        if path.parent != path:
            make_private_dir(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def write_atomic(path: Path, data: str | bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replace ``path`` by ``data`` in one step; a crash leaves the old content or the new.

    ``durable`` waits until it is on the disk; a file that the next launch writes again can do without.
    """
    import tempfile  # here: what only reads has to start fast

    raw = data.encode() if isinstance(data, str) else data
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)
            stream.write(raw)
            stream.flush()
            if durable:
                os.fsync(descriptor)
        os.replace(temporary, path)  # noqa: PTH105 - both are plain strings here
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def write_json(path: Path, value: object, *, mode: int = 0o600, durable: bool = True) -> None:
    """Write ``value`` as indented JSON, atomically; see :func:`write_atomic`."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_atomic(path, text, mode=mode, durable=durable)
