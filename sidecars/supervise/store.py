"""The proposals of one bottle: a directory with a file for each, changed under one lock."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from typing import TYPE_CHECKING

from sidecars.supervise.proposal import BrokenProposal, Proposal, is_id, parse

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

_MAX_BYTES = 256 * 1024
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class ProposalStore:
    """Any number of processes may use the same directory, which has to exist.

    What depends on a state and changes it happens inside :meth:`locked`. Reading needs no lock.
    """

    def __init__(self, directory: Path, slug: str) -> None:
        self._directory = directory
        self.slug = slug

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """Keep every other process from changing a proposal meanwhile. Not reentrant."""
        descriptor = os.open(self._directory / "lock", _LOCK, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def carrying_out(self, *, wait: bool = True) -> Generator[bool]:
        """Be the only one who carries out what takes long; :meth:`locked` is for the moments of a change.

        Yields whether that is so, which without ``wait`` it need not be.
        """
        descriptor = os.open(self._directory / "building", _LOCK, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def list(self) -> list[Proposal]:
        """Return every proposal, the oldest first. Files that are none are left out."""
        found: list[Proposal] = []
        for name in self._names():
            with contextlib.suppress(BrokenProposal, OSError):
                found.append(self.load(name))
        return sorted(found, key=lambda proposal: (proposal.created_at, proposal.id))

    def _names(self) -> Iterator[str]:
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return
        for name in names:
            stem = name.removesuffix(".json")
            if stem != name and is_id(stem):
                yield stem

    def load(self, identifier: str) -> Proposal:
        """Return one proposal. Raises ``FileNotFoundError``, ``OSError`` or :class:`BrokenProposal`."""
        with os.fdopen(os.open(self._file(identifier), _READ), "rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise BrokenProposal("the file is too large")
        return parse(data, slug=self.slug, name=identifier)

    def save(self, proposal: Proposal) -> None:
        """Write ``proposal`` in one step and durably; raises ``OSError`` with the former content in place."""
        descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=self._directory)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(proposal.to_json(), stream, indent=2)
                stream.flush()
                os.fsync(descriptor)
            os.replace(temporary, self._file(proposal.id))  # noqa: PTH105
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)  # noqa: PTH108
            raise

    def delete(self, proposal: Proposal) -> None:
        """Forget a proposal; one that is gone already is no error."""
        self._file(proposal.id).unlink(missing_ok=True)
        self._waiting_file(proposal.id).unlink(missing_ok=True)

    def _file(self, identifier: str) -> Path:
        if not is_id(identifier):
            raise BrokenProposal("not an id of a proposal")
        return self._directory / f"{identifier}.json"

    # -- whether the agent waits for a decision: a lock, so that it ends with the process that holds it

    @contextlib.contextmanager
    def waiting_for(self, identifier: str) -> Generator[None]:
        """Let :meth:`is_awaited` be true meanwhile."""
        descriptor = os.open(self._waiting_file(identifier), _LOCK, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    def is_awaited(self, identifier: str) -> bool:
        """Tell whether the agent stands still until ``identifier`` is decided."""
        try:
            descriptor = os.open(self._waiting_file(identifier), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _waiting_file(self, identifier: str) -> Path:
        return self._directory / f"{identifier}.wait"
