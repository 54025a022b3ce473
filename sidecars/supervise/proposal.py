"""One request of an agent, as it is kept in a file. Plain dataclasses, so that listings start fast."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA_VERSION = 1
ID_LENGTH = 12
KINDS = ("egress", "git", "capability")
STATES = ("pending", "approved", "rejected", "active", "failed")

type Kind = Literal["egress", "git", "capability"]
type State = Literal["pending", "approved", "rejected", "active", "failed"]

_ID = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")
_TEXTS = ("slug", "kind", "reason", "created_at", "nonce", "state", "note", "decided_at", "decided_by")


class BrokenProposal(ValueError):  # noqa: N818 - a state of a file
    """The file is not a proposal that this version can judge, so nothing may come of it."""


def now() -> str:
    """Return the present time as proposals write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Proposal:
    """What was asked, which never changes, and what became of it.

    ``id`` is the beginning of the hash of what was asked: another content is another proposal, so a decision about
    an id is one about its content. ``request`` is in canonical form and was checked at submission; ``reason`` is the
    agent's own text. Times are RFC 3339 in UTC. ``approved`` is decided but not in force yet: whoever looks next
    carries it out. ``note`` is what the agent is told about the decision.
    """

    slug: str
    kind: Kind
    request: Mapping[str, object]
    reason: str
    created_at: str = field(default_factory=now)
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = "pending"
    note: str = ""
    decided_at: str = ""
    decided_by: str = ""
    persist: bool = False

    @property
    def content_hash(self) -> str:
        """SHA-256 over everything that the operator decides about."""
        return _digest([self.slug, self.kind, self.request, self.reason, self.created_at, self.nonce])

    @property
    def id(self) -> str:
        """The name by which operator and agent refer to it."""
        return self.content_hash[:ID_LENGTH]

    @property
    def ask(self) -> str:
        """Equal for proposals that ask for the same thing, whatever reasons they give."""
        return _digest([self.slug, self.kind, self.request])

    @property
    def granted(self) -> bool:
        """Whether the operator said yes, carried out already or not."""
        return self.state in {"approved", "active"}

    def to_json(self) -> dict[str, object]:
        """Return the content of its file; :func:`parse` is the inverse."""
        values = asdict(self)
        return {"schema_version": SCHEMA_VERSION, "id": self.id, "content_hash": self.content_hash, **values}

    def answer(self) -> dict[str, str]:
        """Return what the agent is told."""
        return {"id": self.id, "status": self.state, "reason": self.note}


def is_id(text: str) -> bool:
    """Tell whether ``text`` has the form of an id, and so is safe as a file's name."""
    return _ID.fullmatch(text) is not None


def parse(data: bytes, *, slug: str, name: str) -> Proposal:
    """Return the proposal in the file ``name`` (an id) of the bottle ``slug``; raises :class:`BrokenProposal`.

    One whose content was changed, or that belongs to another bottle, is none.
    """
    try:
        record = cast("dict[str, object]", json.loads(data))
        if record["schema_version"] != SCHEMA_VERSION:
            raise BrokenProposal("written by another version of bottlemux")
        proposal = _from_record(record)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, BrokenProposal):
            raise
        raise BrokenProposal("not a proposal") from error
    if proposal.slug != slug or proposal.id != name or record.get("content_hash") != proposal.content_hash:
        raise BrokenProposal("its content is not what its name says")
    return proposal


def _from_record(record: dict[str, object]) -> Proposal:
    texts = {name: record[name] for name in _TEXTS}
    request = record["request"]
    if not all(isinstance(text, str) for text in texts.values()) or not isinstance(request, dict):
        raise BrokenProposal("a value has the wrong type")
    if texts["kind"] not in KINDS or texts["state"] not in STATES:
        raise BrokenProposal("its kind or state is unknown")
    return Proposal(
        **cast("dict[str, str]", texts),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        request=cast("dict[str, object]", request),
        persist=record["persist"] is True,
    )


def _digest(values: object) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
