"""What lies over the list: a text to read or to answer, and a line to type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass
class TextPage:
    """Lines that are safe to show, and a question if there is something to decide; ``answer`` is called on yes.

    ``seen`` is whether all of it was on the screen: before that it cannot be answered with yes.
    """

    title: str
    lines: Sequence[str]
    question: str = ""
    answer: Callable[[], None] | None = None
    top: int = 0
    seen: bool = False

    def move(self, steps: int) -> None:
        """Scroll by lines."""
        self.top = max(self.top + steps, 0)


@dataclass
class InputLine:
    """A line being typed, below a ``question`` or none. ``changed`` gets every change, ``done`` the whole on Enter."""

    label: str
    done: Callable[[str], None]
    changed: Callable[[str], None] | None = None
    text: str = ""
    question: str = ""
