"""Reading what is on record of a bottle again and again: only what changed is read anew."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from backends.presets import PRESETS
from bottlemux.approvals.finding import open_proposals, store_of
from bottlemux.state.liveness import process_start, read_status
from sidecars.supervise.activity import parse_activity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bottlemux.paths import BottlePaths, Paths
    from bottlemux.state.liveness import RuntimeStatus
    from sidecars.supervise.activity import Activity
    from sidecars.supervise.proposal import Proposal

_MAX_ACTIVITY_BYTES = 64 * 1024
_SETTLED_AFTER_NS = 50_000_000


@dataclass
class Remembered[T]:
    """A value made from one file, made again when the file is another or has changed. ``path`` is a plain string."""

    path: str
    read: Callable[[], T]
    _stamp: tuple[int, int, int] | None = None
    _value: T | None = None

    def get(self, missing: T) -> T:
        """Return the value, ``missing`` where there is no file."""
        try:
            found = os.stat(self.path)  # noqa: PTH116 - twice as fast
        except OSError:
            self._stamp = None
            return missing
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp != self._stamp:
            # What changed just now may change again without showing it: the clock of files is a coarse one.
            settled = time.time_ns() - found.st_mtime_ns > _SETTLED_AFTER_NS
            self._value, self._stamp = self.read(), stamp if settled else None
        return cast("T", self._value)


@dataclass
class BlockedCount:
    """How many requests were refused, from the audit log: only what was appended since is read."""

    audit: Path
    _path: str = field(init=False)
    _offset: int = 0
    _inode: int = 0
    _count: int = 0

    def __post_init__(self) -> None:
        self._path = str(self.audit)

    def get(self) -> int:
        """Return the number. What the operator rejected is none of them."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - see above
        except OSError:
            return 0
        if found.st_ino != self._inode or found.st_size < self._offset:
            self._offset, self._inode, self._count = 0, found.st_ino, 0
        if found.st_size > self._offset:
            self._read_on()
        return self._count

    def _read_on(self) -> None:
        try:
            with self.audit.open("rb") as stream:
                stream.seek(self._offset)
                for line in stream:
                    if not line.endswith(b"\n"):
                        break
                    self._offset += len(line)
                    self._count += b'"block"' in line and is_block(line)
        except OSError:
            return


def is_block(line: bytes) -> bool:
    """Tell whether ``line`` of an audit log records a refused request."""
    try:
        entry = cast("dict[str, object]", json.loads(line))
        return entry["decision"] == "block" and entry.get("sidecar") != "supervise"
    except (ValueError, TypeError, KeyError):
        return False


@dataclass
class BottleFiles:
    """What the files of one bottle say."""

    paths: Paths
    slug: str
    files: BottlePaths = field(init=False)

    def __post_init__(self) -> None:
        self.files = self.paths.bottle(self.slug)
        self._status = Remembered(str(self.files.status), lambda: read_status(self.files))
        self._activity = Remembered(str(self.files.activity), lambda: read_activity(self.files.activity))
        self._open = Remembered(str(self.files.proposals), lambda: open_proposals(self.paths, self.slug))
        self._output = str(self.files.output)
        self._blocked = BlockedCount(self.files.audit)
        self.watched = (self._status.path, self._activity.path, self._open.path)
        self._store = store_of(self.paths, self.slug)

    def status(self) -> RuntimeStatus | None:
        """Return the supervisor's last report."""
        return self._status.get(None)

    def activity(self) -> Activity | None:
        """Return what its program reported last."""
        return self._activity.get(None)

    def output_at(self) -> float:
        """Return when its program last showed something, in seconds since the epoch; 0 where nobody takes note."""
        try:
            return os.stat(self._output).st_mtime  # noqa: PTH116 - see above
        except OSError:
            return 0.0

    def blocked(self) -> int:
        """Return how many requests were refused."""
        return self._blocked.get()

    def open_proposals(self) -> list[Proposal]:
        """Return what waits for the operator, or is approved and not in force yet, the oldest first."""
        return self._open.get([])

    def is_awaited(self, proposal: Proposal) -> bool:
        """Tell whether the agent stands still until ``proposal`` is decided."""
        return self._store.is_awaited(proposal.id)


def read_activity(path: Path) -> Activity | None:
    """Return what the file ``path`` says an agent does; ``None`` if nothing."""
    try:
        with path.open("rb") as stream:
            return parse_activity(stream.read(_MAX_ACTIVITY_BYTES))
    except OSError:
        return None


def count_blocked(audit: Path) -> int:
    """Return how many requests were refused, from the audit log."""
    return BlockedCount(audit).get()


def began_at(pid: int) -> float:
    """Return when process ``pid`` began, in seconds since the epoch; 0 if there is none."""
    ticks = process_start(pid)
    return 0.0 if ticks is None else _boot_time() + ticks / os.sysconf("SC_CLK_TCK")


def _boot_time() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def shows_prompt(screen: str) -> bool:
    """Tell whether a known program's ``screen`` has the line one types in."""
    return any(preset.at_prompt and re.search(preset.at_prompt, screen) for preset in PRESETS.values())
