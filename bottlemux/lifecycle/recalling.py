"""What is on record of how the workspace was arranged last; see ``remembering``, which writes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from pydantic import ValidationError

from bottlemux.identity import is_slug
from bottlemux.session.layout import WindowLayout

if TYPE_CHECKING:
    from pathlib import Path

    from bottlemux.paths import Paths

SCHEMA_VERSION = 1
_MAX_BYTES = 1 << 20


def order_of(paths: Paths) -> list[str]:
    """Return the slugs in the last order of their windows, as far as there are such bottles."""
    found = read(paths.workspace).get("order")
    slugs = cast("list[object]", found) if isinstance(found, list) else []
    known = [slug for slug in slugs if isinstance(slug, str) and is_slug(slug)]
    return [slug for slug in dict.fromkeys(known) if paths.bottle(slug).state.is_dir()]


def in_order(paths: Paths, slugs: list[str]) -> list[str]:
    """Return ``slugs`` in the last order of their windows; those that had none come last, as they are."""
    order = {slug: number for number, slug in enumerate(order_of(paths))}
    return sorted(slugs, key=lambda slug: order.get(slug, len(order)))


def current_of(paths: Paths) -> str:
    """Return whose window was the current one; empty if it was no bottle's."""
    found = read(paths.workspace).get("current")
    return found if isinstance(found, str) and is_slug(found) else ""


def window_of(paths: Paths, slug: str) -> WindowLayout | None:
    """Return how the window of ``slug`` was arranged last; ``None`` if that is not known, or had no agent in it."""
    try:
        layout = WindowLayout.model_validate(read(paths.bottle(slug).window).get("window"))
    except ValidationError:
        return None
    return layout if any(pane.role == "agent" for pane in layout.panes) else None


def read(path: Path) -> dict[str, object]:
    """Return the content of a record; empty for what is none of this version."""
    try:
        with path.open("rb") as stream:
            value: object = json.loads(stream.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    record = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    return record if record.pop("schema_version", None) == SCHEMA_VERSION else {}
