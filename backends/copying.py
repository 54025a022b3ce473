"""Copying a directory that somebody may change meanwhile.

Each name is opened relative to the directory it was found in and never through a link, so a directory or file that an
agent swaps for a link between two steps is left out instead of being followed out of the project.
"""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PERMISSIONS = 0o777


@dataclass
class Failures:
    """What could not be copied: the first reason, and how many there were."""

    first: str = ""
    count: int = 0

    def add(self, name: str, error: OSError) -> None:
        """Note that ``name`` could not be copied."""
        self.first = self.first or f"{name}: {error.strerror}"
        self.count += 1

    def __str__(self) -> str:
        others = f" (and {self.count - 1} more)" if self.count > 1 else ""
        return f"{self.first}{others}"


@dataclass
class _Copy:
    skip: Collection[str]
    failures: Failures = field(default_factory=Failures)

    def directory(self, source: int, target: int, prefix: str) -> None:
        for name in os.listdir(source):
            path = f"{prefix}{name}"
            if path in self.skip:
                continue
            try:
                self._entry(source, target, name, path)
            except OSError as error:
                self.failures.add(path, error)

    def _entry(self, source: int, target: int, name: str, path: str) -> None:
        mode = os.stat(name, dir_fd=source, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif stat.S_ISDIR(mode):
            self._subdirectory(source, target, name, path)
        elif stat.S_ISREG(mode):
            _copy_file(source, target, name)

    def _subdirectory(self, source: int, target: int, name: str, path: str) -> None:
        inner = os.open(name, _DIRECTORY, dir_fd=source)
        try:
            os.mkdir(name, 0o700, dir_fd=target)
            made = os.open(name, _DIRECTORY, dir_fd=target)
            try:
                self.directory(inner, made, f"{path}/")
                os.fchmod(made, os.fstat(inner).st_mode & _PERMISSIONS | stat.S_IRWXU)
            finally:
                os.close(made)
        finally:
            os.close(inner)


def _copy_file(source: int, target: int, name: str) -> None:
    with os.fdopen(os.open(name, _FILE, dir_fd=source), "rb") as reading:
        status = os.fstat(reading.fileno())
        if not stat.S_ISREG(status.st_mode):
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, 0o600, dir_fd=target), "wb") as writing:
            shutil.copyfileobj(reading, writing, 1 << 20)
            os.fchmod(writing.fileno(), status.st_mode & _PERMISSIONS)
            writing.flush()
            os.utime(writing.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))


def copy_tree(source: Path, target: Path, *, skip: Collection[str] = ()) -> Failures:
    """Copy the directory ``source`` to the missing ``target`` and return what could not be copied.

    Links are copied as links, special files and the paths in ``skip`` (relative to ``source``) left out.
    """
    work = _Copy(skip)
    reading = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        target.mkdir(mode=0o700)
        writing = os.open(target, _DIRECTORY)
        try:
            work.directory(reading, writing, "")
        finally:
            os.close(writing)
    finally:
        os.close(reading)
    return work.failures
