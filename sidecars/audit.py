"""The record of every allow and block: one JSON object a line, appended, never rewritten.

A line has no body, no query, no header value and no secret. Several processes may append to the same file.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES = 32 * 1024 * 1024
MIN_FREE_BYTES = 256 * 1024
MAX_TEXT = 1024


class AuditUnavailable(Exception):  # noqa: N818 - a state the caller handles, named for it
    """The record cannot be written, so nothing may be allowed."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One decision. ``path`` may have a query, which is dropped; sizes are in bytes of body."""

    sidecar: str
    decision: Literal["allow", "block", "warn"]
    reason: str = ""
    method: str = ""
    host: str = ""
    port: int = 0
    path: str = ""
    status: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    rule: str = ""

    def line(self, when: datetime) -> bytes:
        """Return the entry as it stands in the file, its newline included."""
        record = {
            "ts": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "sidecar": self.sidecar,
            "decision": self.decision,
            "reason": self.reason,
            "method": self.method[:32],
            "host": self.host[:255],
            "port": self.port,
            "path": self.path.partition("?")[0].partition("#")[0][:MAX_TEXT],
            "status": self.status,
            "request_bytes": self.request_bytes,
            "response_bytes": self.response_bytes,
            "rule": self.rule[:MAX_TEXT],
        }
        return json.dumps(record, separators=(",", ":")).encode() + b"\n"


class AuditLog:
    """Appends to ``path`` (0600), keeping one older file beside it (``path`` + ``.1``) once it is full.

    Lines that could not be written are kept and written first when the file works again; until then
    :meth:`check` raises, so that nothing is allowed in between.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_FILE_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._fd = -1
        self._unwritten: list[bytes] = []
        self._torn = False

    def check(self) -> None:
        """Raise :class:`AuditUnavailable` unless lines can be written now. Call it before allowing anything."""
        self._flush()
        try:
            self._open()
            space = os.fstatvfs(self._fd)
        except OSError as error:
            raise AuditUnavailable(f"the audit log cannot be opened: {error.strerror}") from error
        if space.f_bavail * space.f_frsize < MIN_FREE_BYTES:
            raise AuditUnavailable("the disk of the audit log is full")

    def record(self, entry: AuditEntry) -> None:
        """Append ``entry``. Raises :class:`AuditUnavailable` if it could only be kept for later."""
        self.copy(entry.line(datetime.now(UTC)))

    def copy(self, line: bytes) -> None:
        """Append a line that another log has already, as it stands there; raises as :meth:`record` does."""
        self._unwritten.append(line)
        self._flush()

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _flush(self) -> None:
        while self._unwritten:
            try:
                self._open()
                self._append(self._unwritten[0])
            except OSError as error:
                raise AuditUnavailable(f"the audit log cannot be written: {error.strerror}") from error
            del self._unwritten[0]

    def _append(self, line: bytes) -> None:
        data = b"\n" + line if self._torn else line
        written = os.write(self._fd, data)
        self._torn = written != len(data)
        if self._torn:
            raise OSError(28, "no space left")

    def _open(self) -> None:
        """Have the current file open: reopen after another process rotated it, rotate when it is full."""
        if self._fd >= 0:
            status = self._current()
            mine = os.fstat(self._fd)
            if status is None or status.st_ino != mine.st_ino:
                self.close()
            elif mine.st_size >= self._max_bytes:
                self._rotate()
        if self._fd < 0:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._fd = os.open(self._path, flags, 0o600)
            if not stat.S_ISREG(os.fstat(self._fd).st_mode):
                self.close()
                raise OSError(22, "not a regular file")

    def _current(self) -> os.stat_result | None:
        with contextlib.suppress(FileNotFoundError):
            return self._path.lstat()
        return None

    def _rotate(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        status = self._current()
        if status is not None and status.st_ino == os.fstat(self._fd).st_ino:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        self.close()
