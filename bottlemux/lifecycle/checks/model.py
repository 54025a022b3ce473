"""What a check finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

type Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Check:
    """One finding. ``fix`` is the command or step that mends it; empty where nothing is to be done."""

    name: str
    level: Level
    detail: str
    fix: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the finding as JSON-ready values."""
        return asdict(self)


def worst(checks: list[Check]) -> Level:
    """Return the gravest level among ``checks``."""
    levels = {check.level for check in checks}
    if "error" in levels:
        return "error"
    return "warning" if "warning" in levels else "ok"
