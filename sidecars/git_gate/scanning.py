"""Looking for secrets in what a push would publish. Whatever goes wrong here refuses the push."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sidecars.git_gate.objects import NewObject, new_objects
from sidecars.git_gate.places import new_places
from sidecars.git_gate.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from sidecars.git_gate.gitcmd import Git
    from sidecars.git_gate.policy import RefUpdate
    from sidecars.git_gate.spec import Limits

_BATCH_BYTES = 4 * 1024 * 1024
_BATCH_OBJECTS = 2000
_BATCH_PATHS = 5000
# An empty line: what runs over several lines, such as base64, ends there.
_APART = b"\n\n"
_ROTATE = "remove it from every commit of the push (git rebase), and treat a real secret as exposed"


@dataclass(frozen=True)
class Finding:
    """A secret was found in ``item`` by ``rule``; the value itself is not kept."""

    rule: str
    item: NewObject


class Scanner(Protocol):
    """Searches batches of objects for secrets."""

    async def scan(self, batch: Sequence[NewObject], *, deadline: float) -> list[Finding]:
        """Return what was found; ``deadline`` is a ``time.monotonic`` moment. Raises on any doubt."""
        ...


async def scan_push(scanner: Scanner, git: Git, updates: Sequence[RefUpdate], limits: Limits) -> None:
    """Raise :class:`Refused` unless everything new in the push was scanned and nothing was found."""
    try:
        async with asyncio.timeout(limits.scan_s):
            findings = await _findings(scanner, git, updates, limits)
    except Refused:
        raise
    except Exception as error:
        raise Refused("scanner-failed", f"the scan for secrets did not complete ({type(error).__name__})",
                      hint="push in smaller steps, or ask the operator") from error  # fmt: skip
    if findings:
        first = findings[0]
        more = f" and {len(findings) - 1} more" if len(findings) > 1 else ""
        raise Refused(
            "secret", f"rule {first.rule} in {first.item.where()}{more}", hint=_ROTATE, rule=first.rule
        )


async def _findings(
    scanner: Scanner, git: Git, updates: Sequence[RefUpdate], limits: Limits
) -> list[Finding]:
    deadline = time.monotonic() + limits.scan_s
    names = "\n".join(update.ref for update in updates).encode()
    found = await scanner.scan([NewObject("ref name", "", "", names)], deadline=deadline)
    tips = [update.new for update in updates if not update.deletes]
    if tips and not found:
        places = await new_places(git, tips, limits)
        async for batch in _batches(new_objects(git, tips, limits, places.of_object)):
            if found := await scanner.scan(batch, deadline=deadline):
                return found
        found = await _findings_in_paths(scanner, places.added, deadline)
    return found


async def _findings_in_paths(scanner: Scanner, added: Mapping[bytes, str], deadline: float) -> list[Finding]:
    """Look at many paths at once, and at each for itself where there is something among them."""
    paths = (NewObject("path", commit, "", path) for path, commit in added.items())
    for batch in itertools.batched(paths, _BATCH_PATHS):
        together = NewObject("path", batch[0].commit, "", _APART.join(each.data for each in batch))
        if found := await scanner.scan([together], deadline=deadline):
            return await scanner.scan(batch, deadline=deadline) or found
    return []


async def _batches(objects: AsyncGenerator[NewObject]) -> AsyncGenerator[list[NewObject]]:
    batch: list[NewObject] = []
    size = 0
    async for each in objects:
        batch.append(each)
        size += len(each.data)
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_OBJECTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
