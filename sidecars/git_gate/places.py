"""Where new commits put things: every path they add, and every place of what is new.

A list of objects names each once, so its second place would be nobody's. A comparison with all parents names each
path that none of them has.
"""

from __future__ import annotations

import asyncio
import resource
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidecars.git_gate.children import OUTPUT_LIMIT, feed
from sidecars.git_gate.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from sidecars.git_gate.gitcmd import Git
    from sidecars.git_gate.spec import Limits

_CHUNK = 1024 * 1024
# git holds one comparison in memory, and a few trees that hold each other several times have any number of paths.
_MEMORY = 384 * 1024 * 1024
_COMPARE = (
    "diff-tree", "--stdin", "-z", "-r", "-t", "-c", "--root", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff",
    "--no-textconv", "--ignore-submodules=none",
)  # fmt: skip
_SMALLER = "push in smaller steps"


@dataclass
class Places:
    """``added`` are paths that were not there before, each with the first commit that has it (none below a tag).

    ``of_object`` are the paths at which an object came to be, by its id.
    """

    added: dict[bytes, str] = field(default_factory=dict[bytes, str])
    of_object: dict[bytes, set[bytes]] = field(default_factory=dict[bytes, set[bytes]])
    _count: int = 0
    _size: int = 0

    def put(self, path: bytes, oid: bytes, commit: str, *, is_new: bool, limit: int) -> None:
        """Note that ``commit`` has the object ``oid`` at ``path``. Raises :class:`Refused` beyond ``limit``."""
        known = self.of_object.setdefault(oid, set())
        if path not in known:
            known.add(path)
            self._count += 1
            self._size += len(path)
        if self._count > limit:
            raise Refused("too-large", f"the push has more than {limit} new paths", hint=_SMALLER)
        if self._size > OUTPUT_LIMIT:
            raise Refused("too-large", f"the new paths have more than {OUTPUT_LIMIT} bytes", hint=_SMALLER)
        if is_new:
            self.added.setdefault(path, commit)


async def new_places(git: Git, tips: Sequence[str], limits: Limits) -> Places:
    """Return the places in all commits that are reachable from ``tips`` and not from upstream's refs.

    Raises :class:`Refused` when they cannot be listed to the end or are beyond ``limits``.
    """
    places = Places()
    commits = await git.run("rev-list", "--reverse", *tips, "--not", "--all", timeout_s=limits.scan_s)
    if commits.code != 0:
        raise _unlisted()
    await _compare(git, commits.out, places, limits)
    for tree in await _tagged_trees(git, tips, limits):
        await _list_tree(git, tree, places, limits)
    return places


async def _compare(git: Git, commits: bytes, places: Places, limits: Limits) -> None:
    commit = ""
    async with aclosing(_fields(git, _COMPARE, commits, limits)) as fields:
        async for each in fields:
            if not each.startswith(b":"):
                commit = each.decode()
                continue
            path = await anext(fields, None)
            if path is None:
                raise _unlisted()
            # The commit's own id is the last one, before a letter for each parent.
            *_, oid, letters = each.split(b" ")
            if letters.strip(b"D"):
                places.put(path, oid, commit, is_new=not letters.strip(b"A"), limit=limits.paths)


async def _list_tree(git: Git, tree: str, places: Places, limits: Limits) -> None:
    async with aclosing(_fields(git, ("ls-tree", "-z", "-r", "-t", tree), b"", limits)) as fields:
        async for each in fields:
            entry, _, path = each.partition(b"\t")
            places.put(path, entry.split(b" ")[2], "", is_new=True, limit=limits.paths)


async def _tagged_trees(git: Git, tips: Sequence[str], limits: Limits) -> list[str]:
    asked = "".join(f"{tip}^{{}}\n" for tip in tips).encode()
    format_ = "--batch-check=%(objecttype) %(objectname)"
    answered = await git.run("cat-file", format_, stdin=asked, timeout_s=limits.scan_s)
    lines = answered.out.decode().splitlines()
    if answered.code != 0 or len(lines) != len(tips):
        raise _unlisted()
    return [line.removeprefix("tree ") for line in lines if line.startswith("tree ")]


async def _fields(git: Git, argv: Sequence[str], request: bytes, limits: Limits) -> AsyncGenerator[bytes]:
    """Yield what git prints up to each NUL; nothing is the end but a good one."""
    async with git.start(*argv, stdin=asyncio.subprocess.PIPE) as process:
        if process.stdout is None:
            raise _unlisted()
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
        feeding = asyncio.create_task(feed(process, request))
        rest, left = b"", limits.scan_bytes
        try:
            while chunk := await process.stdout.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise Refused(
                        "too-large", "the push changes more paths than can be looked at", hint=_SMALLER
                    )
                *whole, rest = (rest + chunk).split(b"\0")
                if len(rest) > _CHUNK:
                    raise Refused(
                        "too-large", "the push has a path that is too long", hint="use shorter names"
                    )
                for each in whole:
                    yield each
        finally:
            feeding.cancel()
        if rest or await process.wait() != 0:
            raise _unlisted()


def _unlisted() -> Refused:
    return Refused("scanner-failed", "the new paths cannot be listed", hint="push a complete history")
