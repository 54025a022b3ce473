"""Sending a checked push on to upstream, and believing only what upstream confirms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecars.git_gate.explain import upstream_failure, upstream_lines
from sidecars.git_gate.refusal import Refused, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecars.git_gate.gitcmd import Git
    from sidecars.git_gate.policy import RefUpdate
    from sidecars.git_gate.remotes import GitRemote

_FLAGS = (
    "--atomic", "--porcelain", "--no-verify", "--no-signed", "--no-follow-tags", "--no-progress", "--no-thin",
    "--recurse-submodules=no",
)  # fmt: skip
_ACCEPTED = frozenset(" +-*=")
_STATUS_FIELDS = 3


async def push_on(
    git: Git, remote: GitRemote, updates: Sequence[RefUpdate], *, timeout_s: float
) -> list[str]:
    """Push ``updates`` to upstream, all or none, and return what upstream said.

    ``git`` must see the new objects and be able to reach upstream. Raises :class:`Refused` unless upstream
    confirmed every single update.
    """
    refspecs = [_refspec(update) for update in updates]
    leases = [_lease(update) for update in updates] if remote.allow_force or remote.allow_delete else []
    result = await git.run("push", *_FLAGS, *leases, remote.target.url, *refspecs, timeout_s=timeout_s)
    verdicts = _verdicts(result.out)
    said = upstream_lines(result.err)
    if rejected := [f"{ref}: {why}" for ref, (accepted, why) in verdicts.items() if not accepted]:
        raise UpstreamRefused(said, "; ".join(rejected))
    if result.code != 0:
        failure = upstream_failure(result.err, doing="pushing to upstream")
        raise UpstreamRefused(said, failure.message, hint=failure.hint)
    if not all(update.ref in verdicts for update in updates):
        raise UpstreamRefused(said, "upstream did not confirm every ref", hint="fetch to see where it stands")
    return said


class UpstreamRefused(Refused):
    """Upstream refused, or did not confirm; ``said`` is what it had to say about it."""

    def __init__(self, said: Sequence[str], message: str, *, hint: str = "") -> None:
        super().__init__("upstream", printable(message), hint=hint)
        self.said = tuple(said)

    def lines(self) -> list[str]:
        """Upstream's words first, as its own users see them."""
        return [*self.said, *super().lines()]


def _refspec(update: RefUpdate) -> str:
    return f":{update.ref}" if update.deletes else f"{update.new}:{update.ref}"


def _lease(update: RefUpdate) -> str:
    expected = "" if update.creates else update.old
    return f"--force-with-lease={update.ref}:{expected}"


def _verdicts(porcelain: bytes) -> dict[str, tuple[bool, str]]:
    found: dict[str, tuple[bool, str]] = {}
    for line in porcelain.decode("utf-8", "replace").splitlines():
        fields = line.split("\t")
        if len(fields) == _STATUS_FIELDS and len(fields[0]) == 1:
            ref = fields[1].partition(":")[2]
            found[ref] = (fields[0] in _ACCEPTED, fields[2])
    return found
