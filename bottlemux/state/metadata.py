"""The record of one bottle that ``resume`` starts from. A plain dataclass, so that listings start fast."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields
from typing import cast

from bottlemux.errors import BottlemuxError
from bottlemux.identity import is_slug

SCHEMA_VERSION = 1

_NEWER_HINT = "upgrade bottlemux, or remove the record with the version that wrote it"
BROKEN_HINT = "`bottlemux rm SLUG` removes it, once stopped"


@dataclass(frozen=True, slots=True)
class Metadata:
    """Everything ``resume`` needs to bring a bottle back, and nothing that is secret.

    ``agent``, ``bottle``, ``backend``, ``workspace`` (mount, clone or copy) and ``layout`` are what the
    bottle was started with, whatever manifests and defaults say now. ``cwd`` is an absolute host directory.
    ``args`` came after ``--`` on the command line. ``session_id`` is the UUID of the conversation.
    ``base_commit`` is what a cloned workspace began at. ``from_project`` and ``agent_digest`` say which
    agent manifest was shown to the operator: an agent can edit its workspace, so another one there must not
    take over on ``resume`` unseen. ``credentials`` are the names of those it had at its latest start. Times are
    RFC 3339, UTC; ``started_at`` is the latest start.
    """

    identity: str
    agent: str
    bottle: str
    backend: str
    cwd: str
    session_id: str
    created_at: str
    started_at: str
    workspace: str = "mount"
    layout: str = "default"
    args: tuple[str, ...] = ()
    base_commit: str | None = None
    from_project: bool = False
    agent_digest: str | None = None
    credentials: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, object]:
        """Return the record as JSON-ready values; :meth:`from_json` is the inverse."""
        return {**asdict(self), "args": list(self.args), "credentials": list(self.credentials)}

    @classmethod
    def from_json(cls, value: object, *, where: str) -> Metadata:
        """Check ``value``, as read from the file ``where``, and return the record.

        Keys this version does not know are ignored. Anything else unexpected is a :class:`BottlemuxError`.
        """
        if not isinstance(value, dict):
            raise _broken(where, "not a JSON object")
        record = cast("dict[str, object]", value)
        _check_version(record, where)
        known = {name: record[name] for name in _KINDS if name in record}
        for name, item in known.items():
            if not _fits(_KINDS[name], item):
                raise _broken(where, f"{name} has an unexpected value")
        if missing := sorted(_REQUIRED - known.keys()):
            raise _broken(where, f"{missing[0]} is missing")
        if not is_slug(str(known["identity"])):
            raise _broken(where, "identity is not of the form AGENT-xxxxx")
        for name in ("args", "credentials"):
            known[name] = tuple(cast("list[str]", known.get(name, [])))
        return cls(**known)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


_KINDS: dict[str, str] = {field.name: str(field.type) for field in fields(Metadata)}
_REQUIRED = frozenset(field.name for field in fields(Metadata) if field.default is MISSING)


def _fits(kind: str, item: object) -> bool:
    match kind:
        case "str":
            return isinstance(item, str)
        case "str | None":
            return item is None or isinstance(item, str)
        case "bool":
            return isinstance(item, bool)
        case "int":
            return isinstance(item, int) and not isinstance(item, bool)
        case _:
            return isinstance(item, list) and all(
                isinstance(part, str) for part in cast("list[object]", item)
            )


def _check_version(record: dict[str, object], where: str) -> None:
    version = record.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _broken(where, "schema_version is missing or no positive number")
    if version > SCHEMA_VERSION:
        raise BottlemuxError(
            f"{where}: written by a newer bottlemux (schema {version}, this one reads {SCHEMA_VERSION})",
            hint=_NEWER_HINT,
        )


def _broken(where: str, why: str) -> BottlemuxError:
    return BottlemuxError(f"{where}: broken record: {why}", hint=BROKEN_HINT, topic="state")
