"""Reading manifest files: the user's are trusted, those of the working directory are not.

An agent can write to its working directory, so a file there may be a link to anything, a pipe that never
ends a read, or change while it is read. It is opened one component at a time without following links, and
read once.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from bottlemux.errors import UsageError
from bottlemux.paths import PROJECT_DIR

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 256 * 1024

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_READ_DIRECTORY = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW


def read_user_file(path: Path) -> bytes | None:
    """Return the content of a regular file of the user's, links followed; None if there is none."""
    try:
        return _read(os.open(path, _READ), path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error


def read_project_file(cwd: Path, *parts: str) -> bytes | None:
    """Return the content of ``cwd/.bottlemux/PARTS``; None if there is none.

    A symbolic link anywhere below ``cwd`` is a UsageError, wherever it leads.
    """
    path = cwd.joinpath(PROJECT_DIR, *parts)
    try:
        parent = _open_project_directory(cwd, parts[:-1])
        if parent is None:
            return None
        try:
            return _read(os.open(parts[-1], _READ | os.O_NOFOLLOW, dir_fd=parent), path)
        finally:
            os.close(parent)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", hint=_LINK_HINT) from error


_LINK_HINT = "files of a project must be regular files in it; links are not followed"


def list_project_files(cwd: Path, folder: str) -> list[str]:
    """Return the file names in ``cwd/.bottlemux/FOLDER``; whatever is wrong with it, the list is empty."""
    try:
        descriptor = _open_project_directory(cwd, (folder,))
    except OSError:
        return []
    if descriptor is None:
        return []
    try:
        return os.listdir(descriptor)
    finally:
        os.close(descriptor)


def list_user_files(directory: Path) -> list[str]:
    """Return the names in one of the user's directories; whatever is wrong with it, the list is empty."""
    with suppress(OSError):
        return os.listdir(directory)
    return []


def _open_project_directory(cwd: Path, folders: tuple[str, ...]) -> int | None:
    descriptor = os.open(cwd, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    for name in (PROJECT_DIR, *folders):
        parent = descriptor
        try:
            descriptor = os.open(name, _READ_DIRECTORY, dir_fd=parent)
        except FileNotFoundError:
            return None
        finally:
            os.close(parent)
    return descriptor


def _read(descriptor: int, path: Path) -> bytes:
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UsageError(f"{path}: is not a regular file")
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UsageError(f"{path}: is larger than {MAX_BYTES // 1024} KiB")
    return content
