"""What goes on and what came of it: told in a line that stays until it is dismissed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

type Kind = Literal["busy", "done", "error"]
_KEPT = 20


@dataclass
class Notices:
    """Work under way, by what it is about, and what was told, the latest last."""

    busy: dict[str, str] = field(default_factory=dict[str, str])
    told: list[tuple[Kind, str]] = field(default_factory=list[tuple[Kind, str]])

    def tell(self, text: str) -> None:
        """Say that something is done; it replaces an earlier such notice."""
        self.told = [notice for notice in self.told if notice[0] == "error"]
        self.told.append(("done", text))

    def complain(self, text: str) -> None:
        """Say that something failed."""
        self.told = [*self.told[-_KEPT:], ("error", text)]

    def dismiss(self) -> bool:
        """Forget the latest notice; ``False`` if there is none."""
        return bool(self.told) and bool(self.told.pop())

    @property
    def latest(self) -> tuple[Kind, str] | None:
        """What to show: the latest notice, else what is under way."""
        if self.told:
            kind, text = self.told[-1]
            return kind, f"{text}  (+{len(self.told) - 1} more)" if len(self.told) > 1 else text
        if self.busy:
            return "busy", ", ".join(f"{text} ..." for text in self.busy.values())
        return None
