"""The objects that a push would add to upstream, read from git's quarantine.

Objects, not differences: differences leave out merges, messages, tags, file names, files marked as binary,
and what a later commit of the same push deletes again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecars.git_gate.children import feed
from sidecars.git_gate.refusal import Refused, printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping, Sequence

    from sidecars.git_gate.gitcmd import Git
    from sidecars.git_gate.spec import Limits

_HEADER_FIELDS = 3
_SHORT = 12


@dataclass(frozen=True)
class NewObject:
    """One object. ``data`` is its content, for a tree the names of its entries, one a line.

    ``commit`` is the commit that brings it (empty for a tag), ``path`` its place there (empty for commits and
    tags), ``elsewhere`` its other places.
    """

    kind: str
    commit: str
    path: str
    data: bytes
    elsewhere: tuple[str, ...] = ()

    def where(self) -> str:
        """Say where it is, for the agent's eyes."""
        commit = f"commit {self.commit[:_SHORT]}" if self.commit else ""
        what = {"commit": "its message or author", "tag": "a tag", "tree": "a file name in", "blob": "",
                "path": "the whole path of a file"}  # fmt: skip
        place = printable(self.path) or ("the top directory" if self.kind == "tree" else "")
        return " ".join(part for part in (commit, what.get(self.kind, self.kind), place) if part)


async def new_objects(
    git: Git, tips: Sequence[str], limits: Limits, places: Mapping[bytes, Collection[bytes]]
) -> AsyncGenerator[NewObject]:
    """Yield every object that is reachable from ``tips`` and not from upstream's refs, each once.

    ``places`` are the paths of objects by their id, for what is at several.

    Raises :class:`Refused` when one is missing, unreadable or beyond ``limits``: what cannot be scanned
    cannot pass.
    """
    names = await _list_new(git, tips, limits)
    request = b"".join(oid + b"\n" for oid, _path in names)
    budget = limits.scan_bytes
    async with git.start("cat-file", "--batch", "--buffer", stdin=asyncio.subprocess.PIPE) as process:
        if process.stdout is None:
            raise Refused("scanner-failed", "git gave no objects")
        feeding = asyncio.create_task(feed(process, request))
        try:
            commit = ""
            for oid, path in names:
                kind, data = await _read_object(process.stdout, oid, min(limits.object_bytes, budget))
                budget -= len(data)
                commit = oid.decode() if kind == "commit" else commit
                shown = path.decode("utf-8", "replace")
                others = places.get(oid, ()) if kind == "blob" else ()
                yield NewObject(
                    kind,
                    "" if kind == "tag" else commit,
                    shown,
                    _scannable(kind, data, len(oid) // 2),
                    tuple(other.decode("utf-8", "replace") for other in others if other != path),
                )
        finally:
            feeding.cancel()


async def _list_new(git: Git, tips: Sequence[str], limits: Limits) -> list[tuple[bytes, bytes]]:
    listing = await git.run(
        "rev-list", "--objects", "--in-commit-order", *tips, "--not", "--all", timeout_s=limits.scan_s
    )
    if listing.code != 0:
        raise Refused("scanner-failed", "the new objects cannot be listed", hint="push a complete history")
    lines = listing.out.split(b"\n")
    names = [(oid, path) for oid, _, path in (line.partition(b" ") for line in lines if line)]
    if len(names) > limits.objects:
        raise Refused("too-large", f"the push has {len(names)} new objects, {limits.objects} can be scanned",
                      hint="push in smaller steps")  # fmt: skip
    return names


async def _read_object(stdout: asyncio.StreamReader, oid: bytes, limit: int) -> tuple[str, bytes]:
    fields = (await stdout.readline()).split()
    if len(fields) != _HEADER_FIELDS or fields[0] != oid or not fields[2].isdigit():
        raise Refused("scanner-failed", f"object {printable(oid[:_SHORT])} cannot be read")
    size = int(fields[2])
    if size > limit:
        shown = printable(oid[:_SHORT])
        raise Refused("too-large", f"object {shown} has {size} bytes, {limit} can be scanned",
                      hint="leave large files out of the push")  # fmt: skip
    data = await stdout.readexactly(size + 1)
    return fields[1].decode(), data[:-1]


def _scannable(kind: str, data: bytes, oid_bytes: int) -> bytes:
    return b"\n".join(_entry_names(data, oid_bytes)) if kind == "tree" else data


def _entry_names(tree: bytes, oid_bytes: int) -> list[bytes]:
    names: list[bytes] = []
    position = 0
    while position < len(tree):
        space = tree.index(b" ", position)
        end = tree.index(b"\0", space)
        names.append(tree[space + 1 : end])
        position = end + 1 + oid_bytes
    return names
