"""Removing a directory tree that hostile code has filled."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError

if TYPE_CHECKING:
    from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(root: Path) -> None:
    """Remove ``root`` and everything in it; a missing ``root`` is fine.

    No symbolic link is followed, not even one that takes a directory's place meanwhile. Directories without
    permissions are opened up first. Any depth is removed with three open files and no recursion, because
    each directory is moved up to ``root`` before its turn comes. What cannot be removed is a
    :class:`BottlemuxError` with the rest left in place.
    """
    try:
        descriptor = _open_directory(str(root), None)
    except FileNotFoundError:
        return
    except OSError as error:
        raise BottlemuxError(f"cannot remove {str(root)!r}: {error.strerror}") from error
    try:
        _empty(descriptor)
        root.rmdir()
    except OSError as error:
        raise BottlemuxError(f"cannot remove {str(root)!r}: {error.strerror} ({error.filename!r})") from error
    finally:
        os.close(descriptor)


def _open_directory(name: str, parent: int | None) -> int:
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        _open_up(handle)
        return os.open(".", _DIRECTORY, dir_fd=handle)
    finally:
        os.close(handle)


def _open_up(handle: int) -> None:
    # An O_PATH descriptor takes no fchmod; its /proc name is the same inode whatever the path has become.
    if os.fstat(handle).st_mode & 0o700 != 0o700:
        os.chmod(f"/proc/self/fd/{handle}", 0o700)  # noqa: PTH101


def _empty(root: int) -> None:
    prefix = f".{os.urandom(8).hex()}-"
    moved = 0
    pending = _unlink_files(root)
    while pending:
        name = pending.pop()
        descriptor = _open_directory(name, root)
        try:
            for child in _unlink_files(descriptor):
                _make_movable(child, descriptor)
                moved += 1
                target = f"{prefix}{moved}"
                os.rename(child, target, src_dir_fd=descriptor, dst_dir_fd=root)
                pending.append(target)
        finally:
            os.close(descriptor)
        os.rmdir(name, dir_fd=root)


def _make_movable(name: str, parent: int) -> None:
    # Moving a directory to another parent rewrites its "..", which needs write permission on it.
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        _open_up(handle)
    finally:
        os.close(handle)


def _unlink_files(descriptor: int) -> list[str]:
    with os.scandir(descriptor) as entries:
        listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in listed:
        if not is_directory:
            os.unlink(name, dir_fd=descriptor)
    return [name for name, is_directory in listed if is_directory]
