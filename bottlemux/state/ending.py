"""Whether the operator wanted a bottle to end. What ended without that was lost, to a crash or with the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.files import write_atomic

if TYPE_CHECKING:
    from bottlemux.paths import BottlePaths

_MAX_BYTES = 64


def mark_stopped(files: BottlePaths, at: str) -> None:
    """Record that the operator stopped the bottle at the time ``at``; before it ends, so that no crash undoes it."""
    write_atomic(files.stopped, f"{at}\n")


def unmark_stopped(files: BottlePaths) -> None:
    """Forget it: the bottle is wanted again."""
    files.stopped.unlink(missing_ok=True)


def stopped_at(files: BottlePaths) -> str:
    """Return when the operator stopped the bottle; empty for one that was lost, or never ended."""
    try:
        with files.stopped.open("rb") as stream:
            return stream.read(_MAX_BYTES).decode("ascii", "replace").strip()
    except OSError:
        return ""
