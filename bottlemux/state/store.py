"""The directory of bottles: claiming an identity, reading, saving, listing and removing records."""

from __future__ import annotations

import errno
import json
import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bottlemux.errors import BottlemuxError, UsageError, unknown_name
from bottlemux.files import make_private_dir, require_private, write_json
from bottlemux.identity import is_slug, new_slug
from bottlemux.paths import BottlePaths, Paths
from bottlemux.state.liveness import hold, identities, is_alive
from bottlemux.state.metadata import BROKEN_HINT, Metadata
from bottlemux.state.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_ATTEMPTS = 100
_NEW: Final = ".new-"
_GONE: Final = ".gone-"
_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY})
_DRAFT_PATIENCE_S = 60.0
_MAX_RECORD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class BrokenRecord:
    """A bottle whose record cannot be read: ``problem`` is one line that says why."""

    identity: str
    problem: str


@dataclass(frozen=True, slots=True)
class BottleStore:
    """All bottles of one user. Any number of processes may use it at once."""

    paths: Paths

    def create(
        self,
        agent: str,
        *,
        bottle: str,
        backend: str,
        cwd: Path,
        workspace: str = "mount",
        layout: str = "default",
        args: Sequence[str] = (),
        base_commit: str | None = None,
        from_project: bool = False,
        agent_digest: str | None = None,
        preferred: str | None = None,
        session_id: str | None = None,
        credentials: Sequence[str] = (),
    ) -> Metadata:
        """Claim a new identity, ``preferred`` if it is free, and return its record, saved.

        The directory appears whole under its final name, with private subdirectories in it: no reader sees
        half of it and no other process, however close in time, gets the same identity. The caller removes
        it again (:meth:`remove`) when the start fails.
        """
        import uuid

        now = _now()
        record = Metadata(
            identity="", agent=agent, bottle=bottle, backend=backend, cwd=str(cwd.absolute()),
            session_id=session_id or str(uuid.uuid4()), created_at=now, started_at=now, workspace=workspace,
            layout=layout, args=tuple(args), base_commit=base_commit, from_project=from_project,
            agent_digest=agent_digest, credentials=tuple(credentials),
        )  # fmt: skip
        require_private(make_private_dir(self.paths.bottles))
        draft = make_private_dir(self.paths.bottles / f"{_NEW}{uuid.uuid4().hex}")
        try:
            _make_subdirectories(draft, workspace)
            return self._claim_any(draft, record, preferred or new_slug(agent))
        except BaseException:
            remove_tree(draft)
            raise

    def _claim_any(self, draft: Path, record: Metadata, identity: str) -> Metadata:
        for _ in range(_ATTEMPTS):
            named = replace(record, identity=identity)
            if self._claim(draft, named):
                return named
            identity = new_slug(record.agent)
        raise BottlemuxError(
            f"no free identity for agent {record.agent!r}", hint="remove old bottles: `bottlemux rm SLUG`"
        )

    def _claim(self, draft: Path, record: Metadata) -> bool:
        write_json(draft / self.paths.bottle(record.identity).metadata.name, record.to_json())
        try:
            # A rename onto a directory with content fails: every finished one has content.
            draft.rename(self.paths.bottle(record.identity).state)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise
        return True

    def load(self, identity: str) -> Metadata:
        """Return the record of ``identity``; an unknown one is a NotFoundError that lists the known."""
        if not is_slug(identity) or not self.paths.bottle(identity).state.is_dir():
            raise unknown_name(
                "bottle", identity, self.identities(), hint="`bottlemux list resumable` shows them"
            )
        return _read(self.paths.bottle(identity), identity)

    def save(self, record: Metadata) -> None:
        """Replace the record of a bottle that was created, in one step."""
        target = self.paths.bottle(record.identity)
        if not target.state.is_dir():
            raise unknown_name("bottle", record.identity, self.identities())
        write_json(target.metadata, record.to_json())

    def identities(self) -> list[str]:
        """Return the identity of every bottle there is a directory for, sorted; nothing is read."""
        return identities(self.paths)

    def leftovers(self) -> list[Path]:
        """Return what interrupted creations and removals left; remove it with :func:`remove_tree`.

        A draft younger than a minute may belong to a start that is under way and is left out.
        """
        try:
            names = os.listdir(self.paths.bottles)
        except OSError:
            return []
        found = [self.paths.bottles / name for name in sorted(names) if name.startswith((_NEW, _GONE))]
        return [path for path in found if path.name.startswith(_GONE) or _is_old(path)]

    def list(self) -> list[Metadata | BrokenRecord]:
        """Return every record, sorted by identity. One that cannot be read is a row, not an error."""
        return [self.row(identity) for identity in self.identities()]

    def row(self, identity: str) -> Metadata | BrokenRecord:
        """Return the record of ``identity``, or why it cannot be read."""
        try:
            return _read(self.paths.bottle(identity), identity)
        except BottlemuxError as error:
            return BrokenRecord(identity, error.message)

    def resolve_prefix(self, text: str) -> str:
        """Return the one identity that is ``text`` or begins with it.

        None at all is a NotFoundError, more than one a UsageError; both list the candidates.
        """
        known = self.identities()
        matches = (
            [text]
            if text in known
            else [identity for identity in known if text and identity.startswith(text)]
        )
        if not matches:
            raise unknown_name("bottle", text, known)
        if len(matches) > 1:
            raise UsageError(f"{text!r} is not unique: {', '.join(matches)}", hint="write more of the name")
        return matches[0]

    def remove(self, identity: str) -> None:
        """Delete everything of a bottle that does not live; a living one is an error and stays whole.

        The record vanishes from listings at once, even if the deletion is then interrupted;
        :meth:`leftovers` finds the rest. What the agent left in home and workspace is never followed.
        """
        if identity not in self.identities():
            raise unknown_name("bottle", identity, self.identities())
        target = self.paths.bottle(identity)
        if is_alive(target):
            raise BottlemuxError(f"{identity!r} is running", hint=f"`bottlemux stop {identity}` first")
        doomed = self.paths.bottles / f"{_GONE}{identity}-{os.urandom(4).hex()}"
        lock = hold(target.lock)
        try:
            target.state.rename(doomed)
        finally:
            os.close(lock)
        remove_tree(target.runtime)
        remove_tree(doomed)


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > _DRAFT_PATIENCE_S
    except OSError:
        return False


def _make_subdirectories(state: Path, workspace: str) -> None:
    layout = BottlePaths(state=state, runtime=state)
    wanted = [layout.logs, layout.proposals, layout.home, layout.guest]
    for directory in wanted if workspace == "mount" else [*wanted, layout.workspace]:
        directory.mkdir(mode=0o700)


def _read(target: BottlePaths, identity: str) -> Metadata:
    where = str(target.metadata)
    try:
        descriptor = os.open(where, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            value: object = json.loads(stream.read(_MAX_RECORD_BYTES))
    except OSError as error:
        raise BottlemuxError(
            f"{where}: cannot be read: {error.strerror}", hint=BROKEN_HINT, topic="state"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BottlemuxError(f"{where}: broken record: not JSON", hint=BROKEN_HINT, topic="state") from error
    record = Metadata.from_json(value, where=where)
    if record.identity != identity:
        raise BottlemuxError(
            f"{where}: broken record: belongs to {record.identity!r}", hint=BROKEN_HINT, topic="state"
        )
    return record


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
