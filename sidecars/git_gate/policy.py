"""What may be pushed where: pure decisions on ref updates, made before anything is sent to upstream."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecars.git_gate.refusal import Refused, printable

if TYPE_CHECKING:
    from sidecars.git_gate.remotes import GitRemote

_HEADS = "refs/heads/"
_TAGS = "refs/tags/"
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LOOKS_LIKE_OID = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
# git itself accepts `--upload-pack=x` and `a;touch${IFS}x` as names; other tools then run them.
_SHORT_NAME = re.compile(r"\w[\w./+@#=,%-]*")
_MAX_REF_BYTES = 255
_FIELDS = 3


@dataclass(frozen=True)
class RefUpdate:
    """One line of a push: ``ref`` shall go from ``old`` to ``new``; all zeros stand for no object."""

    old: str
    new: str
    ref: str

    @property
    def creates(self) -> bool:
        """The pusher believes that the ref does not exist."""
        return not self.old.strip("0")

    @property
    def deletes(self) -> bool:
        """The ref shall be removed."""
        return not self.new.strip("0")


def parse_updates(lines: list[bytes], *, limit: int) -> tuple[RefUpdate, ...]:
    """Parse what git gives a pre-receive hook; anything unexpected is a refusal."""
    if not lines or len(lines) > limit:
        raise Refused("protocol", f"a push must change between 1 and {limit} refs, this one has {len(lines)}")
    return tuple(_parse_update(line) for line in lines)


def _parse_update(line: bytes) -> RefUpdate:
    try:
        fields = line.decode("utf-8").split(" ", 2)
    except UnicodeDecodeError as error:
        raise Refused("ref-not-allowed", "a ref name is not UTF-8", hint="rename it") from error
    if len(fields) != _FIELDS or not all(_OID.fullmatch(oid) for oid in fields[:2]):
        raise Refused("protocol", "the push holds a malformed ref update")
    return RefUpdate(old=fields[0], new=fields[1], ref=fields[2])


def check_update(update: RefUpdate, remote: GitRemote) -> None:
    """Raise :class:`Refused` unless the name and the kind of the update are allowed."""
    _check_name(update.ref)
    if update.ref.startswith(_HEADS):
        _check_branch(update.ref.removeprefix(_HEADS), remote)
    elif not update.ref.startswith(_TAGS):
        raise Refused("ref-not-allowed", f"{printable(update.ref)} is neither a branch nor a tag",
                      hint="push to refs/heads/...")  # fmt: skip
    elif not remote.allow_tags:
        raise Refused("tag-not-allowed", f"pushing tags such as {printable(update.ref)} is not allowed",
                      hint="push a branch and ask the operator to tag it")  # fmt: skip
    if update.deletes and not remote.allow_delete:
        raise Refused("delete-not-allowed", f"deleting {printable(update.ref)} is not allowed",
                      hint="ask the operator to delete it")  # fmt: skip


def check_history(update: RefUpdate, remote: GitRemote, *, current: str, fast_forward: bool) -> None:
    """Raise :class:`Refused` unless the update starts from upstream's ``current`` value and loses no history.

    ``current`` is empty when upstream has no such ref.
    """
    if current != ("" if update.creates else update.old):
        raise Refused("stale", f"{printable(update.ref)} changed upstream since it was looked at",
                      hint="fetch and push again")  # fmt: skip
    if update.creates or update.deletes or remote.allow_force:
        return
    if update.ref.startswith(_TAGS) or not fast_forward:
        raise Refused("force-not-allowed", f"{printable(update.ref)} would lose commits that upstream has",
                      hint="merge or rebase onto upstream's commits, or push to a new branch")  # fmt: skip


def _check_name(ref: str) -> None:
    short = ref.split("/", 2)[-1]
    hostile = not _SHORT_NAME.fullmatch(short) or short == "HEAD" or _LOOKS_LIKE_OID.fullmatch(short)
    if hostile or len(ref.encode()) > _MAX_REF_BYTES:
        raise Refused("ref-not-allowed", f"the ref name {printable(ref)!r} is not allowed",
                      hint="use letters, digits and . _ / + @ # = , % - only")  # fmt: skip


def _check_branch(branch: str, remote: GitRemote) -> None:
    if not remote.may_push_branch(branch):
        allowed = ", ".join(remote.branches) or "none"
        raise Refused("ref-not-allowed", f"branch {printable(branch)!r} is not one the agent may push",
                      hint=f"allowed branches: {allowed}")  # fmt: skip
