"""Sends what changed in a directory that an agent writes to, as a tar archive, and the names of all that is there.

Run in a container of its own that sees nothing else. Standard input is one line of JSON with what the other end has;
the archive goes to standard output, its first entry the listing. No link is followed, and what changes or vanishes
meanwhile spoils no other entry.
"""

from __future__ import annotations

import io
import json
import os
import stat
import sys
import tarfile
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LISTING = ".listing"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PERMISSIONS = 0o777
_DEEPEST = 200

type Version = tuple[str, int, int, int]
"""Kind of entry, permissions, size and time of its last change in nanoseconds."""


def version_of(status: os.stat_result) -> Version | None:
    """Return what tells one content of an entry from another; ``None`` for what is no file, directory or link."""
    mode = stat.S_IMODE(status.st_mode) & _PERMISSIONS
    if stat.S_ISDIR(status.st_mode):
        return ("d", mode, 0, 0)
    if stat.S_ISLNK(status.st_mode):
        return ("l", 0, status.st_size, status.st_mtime_ns)
    if stat.S_ISREG(status.st_mode):
        return ("f", mode, status.st_size, status.st_mtime_ns)
    return None


def walk(root: int, prefix: str = "") -> Iterator[tuple[str, Version, int]]:
    """Yield name, version and the open directory of every entry below ``root``, a directory before what is in it."""
    for name in sorted(os.listdir(root)):
        try:
            status = os.stat(name, dir_fd=root, follow_symlinks=False)
        except OSError:
            continue
        if (version := version_of(status)) is None:
            continue
        yield f"{prefix}{name}", version, root
        if version[0] == "d" and prefix.count("/") < _DEEPEST:
            yield from _inside(root, name, prefix)


def _inside(root: int, name: str, prefix: str) -> Iterator[tuple[str, Version, int]]:
    try:
        directory = os.open(name, _DIRECTORY, dir_fd=root)
    except OSError:
        return
    try:
        yield from walk(directory, f"{prefix}{name}/")
    finally:
        os.close(directory)


class _Padded:
    """As many bytes as the header says, whatever becomes of the file meanwhile."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        return data + bytes(size - len(data))


def send(root: int, known: Mapping[str, Version], output: IO[bytes]) -> None:
    """Write the listing of ``root`` and every entry that is not as ``known`` says to ``output``."""
    listing = {name: version for name, version, _ in walk(root)}
    with tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        data = json.dumps(listing).encode()
        entry = tarfile.TarInfo(LISTING)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
        for name, version, directory in walk(root):
            if listing.get(name) and tuple(known.get(name, ())) != version:
                _send_one(archive, name, version, directory)


def _send_one(archive: tarfile.TarFile, name: str, version: Version, directory: int) -> None:
    base = name.rpartition("/")[2]
    entry = tarfile.TarInfo(name)
    entry.mode = version[1]
    entry.pax_headers = {"bottlemux.mtime_ns": str(version[3])}
    try:
        if version[0] == "d":
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
        elif version[0] == "l":
            entry.type = tarfile.SYMTYPE
            entry.linkname = os.readlink(base, dir_fd=directory)
            archive.addfile(entry)
        else:
            _send_file(archive, entry, base, directory)
    except OSError:
        return  # it went away, or may not be read: the listing tells the other end that it is missing


def _send_file(archive: tarfile.TarFile, entry: tarfile.TarInfo, base: str, directory: int) -> None:
    with os.fdopen(os.open(base, _FILE, dir_fd=directory), "rb") as stream:
        status = os.fstat(stream.fileno())
        if stat.S_ISREG(status.st_mode):
            entry.size = status.st_size
            archive.addfile(entry, _Padded(stream))  # pyright: ignore[reportArgumentType]


def main(root: str) -> None:
    """Serve one request."""
    known = json.loads(sys.stdin.buffer.readline())
    send(os.open(root, os.O_RDONLY | os.O_DIRECTORY), known, sys.stdout.buffer)


if __name__ == "__main__":
    main(sys.argv[1])
