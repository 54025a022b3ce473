"""Bringing an agent's working copy, or its home, back from an engine elsewhere: what changed since the last time.

The stream has names of the agent's. Each is taken apart and opened directory by directory, never through a link, so
nothing is written but below the directory that is brought up to date; devices and the like are never made.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tarfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, cast

from bottlemux.errors import BottlemuxError
from bottlemux.files import make_private_dir
from bottlemux.state.removal import remove_tree
from sidecars.porter import LISTING, Version, walk

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

MIN_FREE_BYTES = 1 << 30
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_LISTING_BYTES = 256 << 20
_PERMISSIONS = 0o777
_COPY_BYTES = 1 << 16


def versions(root: Path) -> dict[str, Version]:
    """Return what is below ``root``, as the porter describes it."""
    descriptor = os.open(root, _DIRECTORY)
    try:
        return {name: version for name, version, _ in walk(descriptor)}
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def updating(root: Path) -> Generator[None]:
    """Keep other processes from bringing ``root`` up to date meanwhile; it is made where it is missing."""
    make_private_dir(root)
    descriptor = os.open(root.parent / f".{root.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def receive(stream: IO[bytes], root: Path) -> None:
    """Bring ``root`` to the state that the porter's ``stream`` describes. Raises for what no porter sends."""
    try:
        with tarfile.open(fileobj=stream, mode="r|", errors="surrogateescape") as archive:
            listing = _listing(archive)
            tree = _Tree(root, os.open(root, _DIRECTORY))
            try:
                tree.drop_all_but(listing)
                while (entry := archive.next()) is not None:
                    tree.take(archive, entry)
                tree.set_modes(listing)
            finally:
                os.close(tree.descriptor)
    except (tarfile.TarError, ValueError, TypeError, KeyError) as error:
        raise BottlemuxError(f"the working copy did not arrive whole: {error}") from error
    except OSError as error:
        raise BottlemuxError(f"the working copy cannot be written: {error.strerror}") from error


def _listing(archive: tarfile.TarFile) -> Mapping[str, Version]:
    entry = archive.next()
    if entry is None or entry.name != LISTING or entry.size > _MAX_LISTING_BYTES:
        raise ValueError("no listing")
    stream = archive.extractfile(entry)
    value: object = json.loads(stream.read()) if stream else None
    if not isinstance(value, dict):
        raise TypeError("the listing is none")
    return cast("dict[str, Version]", value)


def _parts(name: str) -> list[str]:
    parts = name.split("/")
    if not name or "\0" in name or any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"{name!r} is not a name in a directory")
    return parts


@dataclass
class _Tree:
    root: Path
    descriptor: int

    def drop_all_but(self, listing: Mapping[str, Version]) -> None:
        """Remove what the other end does not have, or has as another kind of thing."""
        for name, version in versions(self.root).items():
            if name not in listing or listing[name][0] != version[0]:
                self._remove(name)

    def _remove(self, name: str) -> None:
        *above, last = _parts(name)
        try:
            parent = self._open(above)
        except (FileNotFoundError, NotADirectoryError):
            return  # a directory above went first
        try:
            _remove_at(parent, last)
        finally:
            os.close(parent)

    def _open(self, parts: list[str]) -> int:
        """Open a directory below the root, no link followed."""
        current = os.dup(self.descriptor)
        for part in parts:
            try:
                inner = os.open(part, _DIRECTORY, dir_fd=current)
            finally:
                os.close(current)
            current = inner
        return current

    def take(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        """Put one entry of the stream in its place."""
        *above, last = _parts(entry.name)
        parent = self._open(above)
        try:
            if entry.isdir():
                with contextlib.suppress(FileExistsError):
                    os.mkdir(last, 0o700, dir_fd=parent)
            elif entry.issym():
                _remove_at(parent, last)
                os.symlink(entry.linkname, last, dir_fd=parent)
                _set_time(entry, last, parent)
            elif entry.isreg():
                self._check_room(entry.size)
                _remove_at(parent, last)
                _write(archive, entry, last, parent)
            else:
                raise ValueError(f"{entry.name!r} is no file, directory or link")
        finally:
            os.close(parent)

    def _check_room(self, size: int) -> None:
        if shutil.disk_usage(self.root).free < size + MIN_FREE_BYTES:
            raise BottlemuxError("there is no room for the working copy on this machine's disk")

    def set_modes(self, listing: Mapping[str, Version]) -> None:
        """Give directories their modes once everything is in them; the owner keeps all rights."""
        for name, version in listing.items():
            if version[0] == "d":
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    directory = self._open(_parts(name))
                    os.fchmod(directory, int(version[1]) & _PERMISSIONS | 0o700)
                    os.close(directory)


def _remove_at(parent: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        remove_tree(_path_of(parent) / name)


def _path_of(descriptor: int) -> Path:
    from pathlib import Path

    return Path(f"/proc/self/fd/{descriptor}")


def _write(archive: tarfile.TarFile, entry: tarfile.TarInfo, name: str, parent: int) -> None:
    source = archive.extractfile(entry)
    if source is None:
        raise ValueError(f"{entry.name!r} has no content")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o600, dir_fd=parent), "wb") as target:
        while data := source.read(_COPY_BYTES):
            _write_sparsely(target, data)
        target.truncate(entry.size)
        os.fchmod(target.fileno(), entry.mode & _PERMISSIONS)
    _set_time(entry, name, parent)


def _write_sparsely(target: IO[bytes], data: bytes) -> None:
    """Write ``data``, but leave a hole where it is nothing but zeros: no file gets larger than it was there."""
    if data.strip(b"\0"):
        target.write(data)
    else:
        target.seek(len(data), os.SEEK_CUR)


def _set_time(entry: tarfile.TarInfo, name: str, parent: int) -> None:
    when = int(entry.pax_headers["bottlemux.mtime_ns"])
    os.utime(name, ns=(when, when), dir_fd=parent, follow_symlinks=False)
