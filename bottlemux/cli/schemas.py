"""JSON Schemas of what ``--json`` prints, made from the very types that are printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_names() -> list[str]:
    """Return the names of all schemas, sorted."""
    return sorted(_SCHEMAS)


def schema_of(name: str) -> dict[str, Any]:
    """Return the schema ``name``."""
    title, description, make = _SCHEMAS[name]
    item = make()
    definitions = {"$defs": item.pop("$defs")} if "$defs" in item else {}
    head = {"$schema": SCHEMA_DIALECT, "title": title, "description": description}
    return {**head, "type": "array", "items": item, **definitions}


def _object(name: str, types: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object that has exactly the fields of ``types``."""
    from pydantic import create_model

    fields: dict[str, Any] = {field: (kind, ...) for field, kind in types.items()}
    schema: dict[str, Any] = create_model(name, **fields).model_json_schema(mode="serialization")
    return {**schema, "additionalProperties": False}


def _fields(cls: type) -> dict[str, Any]:
    """Return the fields of a dataclass with their types, which it may import for type checkers only."""
    from dataclasses import fields

    from bottlemux.lifecycle import judging

    hints = get_type_hints(cls, localns={**vars(judging), "Mapping": Mapping})
    return {field.name: hints[field.name] for field in fields(cls)}


def _status() -> dict[str, Any]:
    from bottlemux.lifecycle.status import BottleStatus

    return _object("BottleStatus", {**_fields(BottleStatus), "age_s": float | None})


def _doctor() -> dict[str, Any]:
    from bottlemux.lifecycle.checks import Check

    return _object("Check", _fields(Check))


def _audit() -> dict[str, Any]:
    from sidecars.audit import AuditEntry

    return _object("AuditEntry", {"ts": str, **_fields(AuditEntry)})


def _proposals() -> dict[str, Any]:
    from sidecars.supervise.proposal import Proposal

    own = {"schema_version": int, "id": str, "content_hash": str}
    return _object("Proposal", {**own, **_fields(Proposal), "summary": str})


def _listing(what: str) -> Callable[[], dict[str, Any]]:
    def make() -> dict[str, Any]:
        from bottlemux.cli.list_ import COLUMNS

        return _object(what.capitalize(), dict.fromkeys(COLUMNS[what], str))

    return make


def _layouts() -> dict[str, Any]:
    return _object("Layout", {"name": str, "origin": str, "path": str, "hidden_by": str})


def _images() -> dict[str, Any]:
    from bottlemux.cli.images import COLUMNS

    return _object("Image", {name: int if name == "bytes" else str for name in COLUMNS})


_LISTED = ("active", "agents", "backends", "bottles", "layouts", "resumable")
_SCHEMAS: dict[str, tuple[str, str, Callable[[], dict[str, Any]]]] = {
    "actions": (
        "Actions",
        "What `bottlemux palette --list --json` prints.",
        lambda: _object("Action", dict.fromkeys(("name", "about", "key", "group", "help"), str)),
    ),
    "approvals": ("Proposals", "What `bottlemux approvals list --json` prints.", _proposals),
    "audit": (
        "Decisions",
        "What `bottlemux audit SLUG --json` prints; a line of audit.jsonl is an item.",
        _audit,
    ),
    "doctor": ("Findings", "What `bottlemux doctor --json` prints.", _doctor),
    "layout-list": (
        "Layouts",
        "What `bottlemux layout list --json` prints; `hidden_by` says whose layout hides it, empty where none does.",
        _layouts,
    ),
    "images-list": ("Images", "What `bottlemux images list --json` prints.", _images),
    "info": (
        "Programs",
        "What `bottlemux info --json` prints; `path` is empty for one that is not on this machine.",
        lambda: _object("Program", dict.fromkeys(("name", "path", "tested", "install"), str)),
    ),
    "status": ("Bottles", "What `bottlemux status --json` prints.", _status),
    **{
        f"list-{what}": (f"Listing of {what}", f"What `bottlemux list {what} --json` prints.", _listing(what))
        for what in _LISTED
    },
}
