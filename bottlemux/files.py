"""Writing and reading files so that a crash or a reader never sees half of one."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError

if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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
    import json

    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_atomic(path, text, mode=mode, durable=durable)


def read_json(path: Path, limit: int = -1) -> object:
    """Return what the JSON file ``path`` holds, of which no more than ``limit`` bytes are read if there is one.

    Raises ``OSError``, ``ValueError``, ``RecursionError``.
    """
    with path.open("rb") as stream:
        data = stream.read(limit)
    # The palette's first frame asks for files that may not be there.
    import json

    return json.loads(data)


def open_hostile_dir(root: Path, below: PurePosixPath) -> int:
    """Return a descriptor of the directory ``below`` a ``root`` in which somebody may swap anything meanwhile.

    No link is followed below ``root``; what is none, or a link, is an ``OSError``. The caller closes it.
    """
    descriptor = os.open(root, _DIRECTORY)
    for name in below.parts:
        try:
            inner = os.open(name, _DIRECTORY, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def open_hostile_file(directory: int, name: str) -> int:
    """Return a descriptor to read the regular file ``name`` in ``directory``; anything else there is an ``OSError``.

    It never waits, as opening a pipe would, and how much there is to read is not known. The caller closes it.
    """
    descriptor = os.open(name, _FILE, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{name!r} is no regular file")
    return descriptor
