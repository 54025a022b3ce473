"""The gate's audit lines: every ref that was allowed or refused, every fetch, and nothing secret."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Literal

from sidecars.audit import AuditEntry, AuditLog, AuditUnavailable
from sidecars.git_gate.refusal import Refused, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecars.git_gate.policy import RefUpdate
    from sidecars.git_gate.remotes import GitRemote


class Recorder:
    """Writes what happens to one remote. ``path`` of a line is the remote's name and, for a push, the ref."""

    def __init__(self, log: AuditLog, remote: GitRemote) -> None:
        self._log = log
        self._remote = remote

    def fetched(self) -> None:
        """Record that refs are served; raises :class:`Refused` when that is impossible."""
        self._demand("fetch", "served", [""])

    def may_push(self, updates: Sequence[RefUpdate]) -> None:
        """Record that the push passed the gate's checks; raises :class:`Refused` when that is impossible."""
        self._demand("push", "checked", [update.ref for update in updates])

    def pushed(self, updates: Sequence[RefUpdate]) -> None:
        """Record that upstream confirmed; a line that cannot be written now is kept for later."""
        with contextlib.suppress(AuditUnavailable):
            self._write("allow", "push", "pushed", [update.ref for update in updates])

    def blocked(self, refusal: Refused, updates: Sequence[RefUpdate], *, method: str = "push") -> None:
        """Record a refusal, which stands whether or not the line can be written now."""
        with contextlib.suppress(AuditUnavailable):
            refs = [update.ref for update in updates] or [""]
            self._write("block", method, refusal.reason, refs, refusal.rule)

    def _demand(self, method: str, reason: str, refs: Sequence[str]) -> None:
        try:
            self._log.check()
            self._write("allow", method, reason, refs)
        except AuditUnavailable as error:
            raise Refused("audit-unavailable", "this cannot be recorded, so it is not allowed",
                          hint="ask the operator to make room on the disk") from error  # fmt: skip

    def _write(
        self,
        decision: Literal["allow", "block"],
        method: str,
        reason: str,
        refs: Sequence[str],
        rule: str = "",
    ) -> None:
        for ref in refs:
            # The log cuts a path at '#', which a branch's name may hold.
            shown = printable(ref).replace("#", "%23").replace("?", "%3F")
            place = f"{self._remote.name}:{shown}" if ref else self._remote.name
            entry = AuditEntry(
                sidecar="git-gate", decision=decision, reason=reason, method=method, host=self._remote.host,
                port=self._remote.port, path=place, rule=rule,
            )  # fmt: skip
            self._log.record(entry)
