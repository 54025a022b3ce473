"""The name of a bottle's window: what the user calls it, with a mark of its state, composed as the user likes it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bottlemux.session.building import literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bottlemux.session.models import WindowInfo

DEFAULT_FORM = "{mark}{count} {name}"
MARKS: dict[str, str] = {
    "starting": "…",
    "working": "»",
    "waiting": "?",
    "idle": "",
    "finished": "✓",
    "exited": "✗",
    "broken": "!",
}

_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Naming:
    """How names are composed: ``form`` and ``marks`` are those of ``WorkspaceSettings``."""

    form: str = DEFAULT_FORM
    marks: Mapping[str, str] = field(default_factory=dict[str, str])

    def title(self, window: WindowInfo, state: str, count: int = 0) -> str:
        """Return the name of ``window`` in ``state``; ``count`` is of what waits for the operator, 0 shows nothing.

        It keeps what the user renamed the window to.
        """
        values = {
            "mark": self.mark(state),
            "count": str(count) if count else "",
            "name": self.base(window.name),
            "agent": window.agent,
            "slug": window.slug,
            "directory": window.directory.rpartition("/")[2],
            "state": state,
        }
        text = _FIELD.sub(lambda found: values.get(found[1], ""), self.form)
        return " ".join(_printable(text).split()) or window.slug

    def base(self, title: str) -> str:
        """Return what the user calls the window that is named ``title``: without mark and count."""
        found = re.fullmatch(self._pattern(), title)
        return (found["name"] if found else title).strip() or title

    def renamed(self, title: str, name: str) -> str:
        """Return ``title`` with ``name`` for what the user calls the window, mark and count as they are."""
        found = re.fullmatch(self._pattern(), title)
        begin, end = found.span("name") if found else (0, len(title))
        return title[:begin] + name + title[end:]

    def mark(self, state: str) -> str:
        """Return the mark of ``state``; empty for none."""
        return self.marks.get(state, MARKS.get(state, ""))

    def _pattern(self) -> str:
        marks = {*MARKS.values(), *self.marks.values()}
        parts = {
            "mark": "(?:" + "|".join(map(re.escape, sorted(marks, key=len, reverse=True))) + ")",
            "count": r"\d*",
            "name": "(?P<name>.+?)",
        }
        pattern, last, seen = "", 0, set[str]()
        for place in _FIELD.finditer(self.form):
            pattern += _spaced(self.form[last : place.start()])
            pattern += parts.get(place[1], ".*?") if place[1] not in seen else ".*?"
            seen.add(place[1])
            last = place.end()
        pattern += _spaced(self.form[last:])
        return pattern if "name" in seen else "(?P<name>.+)"


def rename_commands(window: WindowInfo, title: str) -> list[list[str]]:
    """Return what gives ``window`` the name ``title``; nothing if it has it."""
    if title == window.name:
        return []
    return [["rename-window", "-t", window.window_id, "--", literal(title)]]


def _spaced(text: str) -> str:
    # A name without a mark has lost the blank that parted them.
    return r"\s*".join(re.escape(part) for part in re.split(r"\s+", text))


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
