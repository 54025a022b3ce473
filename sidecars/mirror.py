"""The far end of a link: shows the operator's machine what the sidecars write here, and writes what was decided there.

Started in the sidecars' container by an engine's ``exec``, one for each link, it reads and writes a JSON object a line.
What is appended to (the record, the logs) goes as what is new since a position; what is replaced (the report,
proposals) goes whole. It ends with its standard input, or when the other end is silent.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecars.supervise.proposal import is_id
from sidecars.supervise.store import ProposalStore

if TYPE_CHECKING:
    from collections.abc import Iterator

PAUSE_S = 0.2
BEAT_S = 5.0
SILENCE_S = 60.0
CHUNK = 256 * 1024
RECORD, ROUTES, REPORT, PROPOSALS, LOGS = "audit.jsonl", "routes.json", "status.json", "proposals", "logs"
ACTIVITY = "activity.json"
# The proxy looks for new routes this often at least: what was granted must not be answered before it is in force.
_IN_FORCE_AFTER_S = 0.4
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

type Position = tuple[int, int]
"""Which file it is (its inode, which a rotation changes) and how many of its bytes were sent."""


@dataclass
class Followed:
    """One file that is appended to and may be moved aside, to ``NAME.1``, for a new one."""

    path: Path
    position: Position = (0, 0)

    def news(self) -> Iterator[bytes]:
        """Yield what was appended since, a bounded piece at a time, noting each as sent."""
        inode = self.position[0]
        if inode and _inode(self.path) != inode:
            moved = self.path.with_name(self.path.name + ".1")
            if _inode(moved) == inode:
                yield from self._rest(moved)
            self.position = (0, 0)
        yield from self._rest(self.path)

    def _rest(self, path: Path) -> Iterator[bytes]:
        try:
            descriptor = os.open(path, _READ)
        except OSError:
            return
        with os.fdopen(descriptor, "rb") as stream:
            inode, offset = os.fstat(descriptor).st_ino, 0
            if self.position[0] == inode:
                offset = self.position[1]
            stream.seek(offset)
            while data := stream.read(CHUNK):
                offset += len(data)
                self.position = (inode, offset)
                yield data


def _inode(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.lstat().st_ino
    return 0


def is_shared(name: str) -> bool:
    """Say whether ``name`` is one of the files that travel whole."""
    directory, _, file = name.rpartition("/")
    stem = file.removesuffix(".json")
    return name in {ACTIVITY, ROUTES, REPORT} or (directory == PROPOSALS and stem != file and is_id(stem))


@dataclass
class Mirror:
    """Serves one link for the bottle ``slug``, whose records are in ``state`` and whose report is in ``runtime``."""

    state: Path
    runtime: Path
    slug: str
    followed: dict[str, Followed] = field(default_factory=dict[str, Followed])
    seen: dict[str, tuple[int, int, int]] = field(default_factory=dict[str, tuple[int, int, int]])
    awaited: list[str] = field(default_factory=list[str])
    later: list[tuple[float, str, bytes]] = field(default_factory=list[tuple[float, str, bytes]])
    held_until: float = 0.0
    flushing: bool = False

    def run(self) -> None:
        """Serve until the other end goes."""
        heard = told = time.monotonic()
        pending = b""
        os.set_blocking(0, False)
        while time.monotonic() - heard < SILENCE_S:
            if select.select([0], [], [], PAUSE_S)[0]:
                data = os.read(0, CHUNK)
                if not data:
                    return
                heard = time.monotonic()
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    self._obey(json.loads(line))
            self._write_due()
            messages: list[dict[str, object]] = list(self._news())
            if not messages and time.monotonic() - told > BEAT_S:
                messages = [{"beat": True}]
            if self.flushing:
                messages.append({"flushed": True})
                self.flushing = False
            for message in messages:
                told = time.monotonic()
                _say(message)

    def _obey(self, message: dict[str, Any]) -> None:
        for name, (inode, offset) in message.get("positions", {}).items():
            self._follow(name).position = (inode, offset)
        self.flushing = self.flushing or "flush" in message
        if "file" not in message:
            return
        name, data = str(message["file"]), base64.b64decode(message["data"])
        if not is_shared(name) or name in {ACTIVITY, REPORT}:
            raise ValueError("not a file that the other end writes")
        if _content(self.state / name) == data:
            return
        if name == ROUTES:
            self.held_until = time.monotonic() + _IN_FORCE_AFTER_S
            _replace(self.state / name, data)
        else:
            self.later.append((self.held_until, name, data))

    def _write_due(self) -> None:
        due = [each for each in self.later if each[0] <= time.monotonic()]
        self.later = [each for each in self.later if each not in due]
        for _, name, data in due:
            with ProposalStore(self.state / PROPOSALS, self.slug).locked():
                _replace(self.state / name, data)

    def _news(self) -> Iterator[dict[str, object]]:
        for name in self._appended_names():
            followed = self._follow(name)
            for data in followed.news():
                yield {"append": name, "position": followed.position, "data": _text(data)}
        yield from self._replaced()
        store = ProposalStore(self.state / PROPOSALS, self.slug)
        awaited = [identifier for identifier in self._proposals() if store.is_awaited(identifier)]
        if awaited != self.awaited:
            self.awaited = awaited
            yield {"awaited": awaited}

    def _follow(self, name: str) -> Followed:
        if name != RECORD and not (name.startswith(f"{LOGS}/") and name.count("/") == 1):
            raise ValueError("not a file to follow")
        return self.followed.setdefault(name, Followed(self.state / name))

    def _appended_names(self) -> list[str]:
        logs = [name for name in sorted(os.listdir(self.state / LOGS)) if name.endswith(".log")]
        return [RECORD, *(f"{LOGS}/{name}" for name in logs)]

    def _proposals(self) -> list[str]:
        names = [name.removesuffix(".json") for name in os.listdir(self.state / PROPOSALS)]
        return sorted({name for name in names if is_id(name)})

    def _replaced(self) -> Iterator[dict[str, object]]:
        places = {f"{PROPOSALS}/{each}.json": self.state for each in self._proposals()}
        for name, directory in {**places, ACTIVITY: self.state, REPORT: self.runtime}.items():
            try:
                status = (directory / name).lstat()
                version = (status.st_ino, status.st_mtime_ns, status.st_size)
                if self.seen.get(name) == version:
                    continue
                data = (directory / name).read_bytes()
            except OSError:
                continue
            self.seen[name] = version
            yield {"file": name, "data": _text(data)}
        for name in self.seen.keys() - places.keys() - {ACTIVITY, REPORT}:
            del self.seen[name]
            yield {"gone": name}


def _content(path: Path) -> bytes:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""


def _replace(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
    os.replace(temporary, path)  # noqa: PTH105


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    Mirror(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]).run()
