"""Stand-ins for protected files that a mounted project lacks: made for a bottle, shared, removed by the last one.

Removing one under a running bottle would take its protection away, so each bottle records those it relies on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from bottlemux.files import read_json, write_json
from bottlemux.identity import is_slug
from bottlemux.state.liveness import is_alive

if TYPE_CHECKING:
    from backends.contract import BottleSpec
    from backends.workspace import Protection
    from bottlemux.paths import Paths


def make(spec: BottleSpec, protection: Protection) -> None:
    """Record, then make, what ``protection`` asks for; others' stand-ins in the same project are recorded too."""
    from backends.workspace import make_placeholders

    relied_on = {*protection.placeholders, *names_in(spec.paths, spec.directory)}
    record = {"directory": str(spec.directory), "names": sorted(relied_on)}
    # A power failure that takes the record leaves empty directories, and no bottle that relies on them.
    write_json(spec.files.standins, record, durable=False)
    make_placeholders(spec.directory, protection)


def names_in(paths: Paths, directory: Path) -> set[str]:
    """Return the stand-ins that bottles have made in ``directory``."""
    records = [_read(paths, slug) for slug in recorded(paths)]
    return {name for place, names in records if place == str(directory) for name in names}


def remove(paths: Paths, identity: str) -> None:
    """Remove what ``identity`` recorded and no other live bottle relies on. Idempotent."""
    from backends.workspace import remove_placeholders

    directory, names = _read(paths, identity)
    if not directory:
        return
    for slug in recorded(paths):
        place, others = _read(paths, slug)
        if slug != identity and place == directory and is_alive(paths.bottle(slug)):
            names -= others
    remove_placeholders(Path(directory), names)
    paths.bottle(identity).standins.unlink(missing_ok=True)


def recorded(paths: Paths) -> list[str]:
    """Return the bottles that have such a record."""
    found = paths.bottles.glob(f"*/{paths.bottle('x').standins.name}")
    return sorted(path.parent.name for path in found if is_slug(path.parent.name))


def _read(paths: Paths, identity: str) -> tuple[str, set[str]]:
    try:
        record = cast("dict[str, object]", read_json(paths.bottle(identity).standins))
        return str(record["directory"]), {str(name) for name in cast("list[object]", record["names"])}
    except (OSError, ValueError, KeyError, TypeError):
        return "", set()
