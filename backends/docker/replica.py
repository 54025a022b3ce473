"""What this machine has of a bottle elsewhere: written as its sidecars say, read for what was decided here.

What comes from there is data of the sidecars', in which an agent may have words: it only ever gets into the files that
are named here, and no proposal counts as decided because the other end says so.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bottlemux.files import make_private_dir, write_atomic, write_json
from bottlemux.state.liveness import process_start, read_link
from sidecars.audit import AuditLog
from sidecars.mirror import ACTIVITY, LOGS, PROPOSALS, RECORD, REPORT, ROUTES, is_shared
from sidecars.supervise.proposal import BrokenProposal, is_id, parse
from sidecars.supervise.store import ProposalStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from bottlemux.paths import BottlePaths
    from sidecars.supervise.proposal import Proposal

_LOG_NAME = re.compile(rf"{LOGS}/[a-z][a-z-]*\.log")
_MAX_LOG_BYTES = 32 << 20
_FORGETTABLE = frozenset({"rejected", "failed"})
OUT_OF_REACH = "out of reach"


@dataclass
class Replica:
    """The files of the bottle ``slug`` in ``files``. One process at a time, which holds the bottle's lock."""

    files: BottlePaths
    slug: str
    _positions: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    _partial: bytes = b""
    _repeated: set[bytes] = field(default_factory=set[bytes])
    _sent: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    _awaited: dict[str, contextlib.ExitStack] = field(default_factory=dict[str, contextlib.ExitStack])
    reported: dict[str, Any] = field(default_factory=dict[str, Any])

    def begin(self) -> None:
        """Take over from the last link of the bottle, wherever that was killed."""
        make_private_dir(self.files.runtime)
        self._store = ProposalStore(self.files.proposals, self.slug)
        self._record = AuditLog(self.files.audit)
        known = read_link(self.files)
        self._positions = {name: (one[0], one[1]) for name, one in known.get("positions", {}).items()}
        self._repeated = set(_tail(self.files.audit, int(known.get("record_bytes", 0))).splitlines())
        self._save()

    def end(self) -> None:
        """Close what is open; the files stay."""
        self._record.close()
        self.await_(())

    def _save(self) -> None:
        size = self.files.audit.stat().st_size if self.files.audit.exists() else 0
        value = {
            "pid": os.getpid(),
            "start": process_start(os.getpid()),
            "positions": self._positions,
            "record_bytes": size,
        }
        write_json(self.files.link, value, durable=False)

    def positions(self) -> dict[str, tuple[int, int]]:
        """Return how much of each file of the other end is here, by its name, for a new connection."""
        self._partial = b""
        return dict(self._positions)

    # -- what the sidecars write

    def append(self, name: str, position: list[int], data: bytes) -> None:
        """Add what was appended there, up to ``position``; raises ``AuditUnavailable`` for a record that is full."""
        if name == RECORD:
            *lines, self._partial = (self._partial + data).split(b"\n")
            for line in lines:
                if line not in self._repeated:
                    self._record.copy(line + b"\n")
        elif _LOG_NAME.fullmatch(name):
            _append_bounded(self.files.logs / name.removeprefix(f"{LOGS}/"), data)
        else:
            raise ValueError(f"{name!r} is no file of a bottle")
        inode, offset = position
        self._positions[name] = (inode, offset - (len(self._partial) if name == RECORD else 0))
        self._save()

    def replace(self, name: str, data: bytes) -> None:
        """Take over a whole file of there: a report, or a proposal that is new here and undecided."""
        if name == REPORT:
            self.reported = json.loads(data)
            self.report_problem("")
        elif name == ACTIVITY:
            write_atomic(self.files.activity, data, durable=False)
        elif name != ROUTES and is_shared(name):
            self._take_proposal(name, data)
        else:
            raise ValueError(f"{name!r} is no file of a bottle")

    def _take_proposal(self, name: str, data: bytes) -> None:
        identifier = name.removeprefix(f"{PROPOSALS}/").removesuffix(".json")
        try:
            proposal = parse(data, slug=self.slug, name=identifier)
        except BrokenProposal:
            return
        with self._store.locked():
            if proposal.state == "pending" and self._known(identifier) is None:
                self._store.save(proposal)

    def _known(self, identifier: str) -> Proposal | None:
        with contextlib.suppress(OSError, BrokenProposal):
            return self._store.load(identifier)
        return None

    def forget(self, name: str) -> None:
        """Drop a decided proposal that was dropped there to make room."""
        identifier = name.removeprefix(f"{PROPOSALS}/").removesuffix(".json")
        with self._store.locked():
            known = self._known(identifier) if is_id(identifier) else None
            if known is not None and known.state in _FORGETTABLE:
                self._store.delete(known)

    def await_(self, identifiers: Iterable[str]) -> None:
        """Let exactly these proposals be ones for which the agent stands still."""
        wanted = {each for each in identifiers if is_id(each)}
        for identifier in self._awaited.keys() - wanted:
            self._awaited.pop(identifier).close()
        for identifier in wanted - self._awaited.keys():
            stack = self._awaited[identifier] = contextlib.ExitStack()
            stack.enter_context(self._store.waiting_for(identifier))

    def report_problem(self, problem: str) -> None:
        """Write the sidecars' last report; a ``problem`` says that it may be out of date."""
        services = self.reported.get("services", {})
        if problem:
            services = {name: {**one, "state": OUT_OF_REACH} for name, one in services.items()}
        own = {"supervisor_pid": 0, "supervisor_start": 0, "init_pid": None, "problem": problem}
        write_json(self.files.status, {**self.reported, **own, "services": services}, durable=False)

    # -- what the operator decides

    def send_all(self) -> None:
        """Have :meth:`decided` return everything again: the other end may have missed it."""
        self._sent.clear()

    def decided(self) -> Iterator[dict[str, object]]:
        """Yield the policy and the decided proposals that changed here since the last time, the policy first."""
        for name, path in [(ROUTES, self.files.routes), *self._proposal_files()]:
            with contextlib.suppress(OSError):
                status = path.lstat()
                version = (status.st_ino, status.st_mtime_ns)
                if self._sent.get(name) == version:
                    continue
                self._sent[name] = version
                data = path.read_bytes()
                if name == ROUTES or self._is_decided(path.stem):
                    yield {"file": name, "data": base64.b64encode(data).decode()}

    def _proposal_files(self) -> list[tuple[str, Path]]:
        names = sorted(os.listdir(self.files.proposals))
        return [(f"{PROPOSALS}/{name}", self.files.proposals / name) for name in names
                if is_shared(f"{PROPOSALS}/{name}")]  # fmt: skip

    def _is_decided(self, identifier: str) -> bool:
        known = self._known(identifier)
        return known is not None and known.state != "pending"


def _append_bounded(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "ab") as stream:
        if os.fstat(stream.fileno()).st_size < _MAX_LOG_BYTES:
            stream.write(data)


def _tail(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as stream:
            stream.seek(size if size <= os.fstat(stream.fileno()).st_size else 0)
            return stream.read()
    except OSError:
        return b""
