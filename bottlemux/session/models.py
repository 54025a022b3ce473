"""What the workspace is asked for, and what it reports: plain values without tmux or YAML in them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from bottlemux.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bottlemux.session.layout import PaneLayout, WindowLayout

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MAX_NAME = 40


@dataclass(frozen=True)
class Program:
    """What a layout runs in a pane of no role: lines for a shell in the bottle, or one program word for word."""

    shell_command: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.shell_command or self.argv)

    def mark(self) -> str:
        """Return it as one line for a pane's mark; :meth:`from_mark` is the inverse."""
        if not self:
            return ""
        text = json.dumps({"argv": self.argv} if self.argv else self.shell_command)
        # tmux 3.4 prints a backslash before a dollar sign.
        return text.replace("$", r"\u0024")

    @classmethod
    def from_mark(cls, text: str) -> Program:
        """Return the program in a pane's mark; none for what is no mark."""
        try:
            value: object = json.loads(text)
        except ValueError:
            return cls()
        if isinstance(value, dict):
            return cls(argv=_texts(cast("dict[str, object]", value).get("argv")))
        return cls(shell_command=_texts(value))


def _texts(value: object) -> tuple[str, ...]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, str))


@dataclass(frozen=True)
class PaneSpec:
    """A pane to make: ``argv`` is its process, run by no shell. Every user can read it: never a secret.

    ``program`` is what the layout says that ``argv`` runs, by which the pane is saved again.
    """

    role: str
    argv: tuple[str, ...]
    program: Program = Program()


@dataclass(frozen=True)
class WindowSpec:
    """A window to make. ``panes`` are in the order of the layout's panes.

    Windows of one ``directory``, the project's, stand side by side.
    """

    slug: str
    agent: str
    backend: str
    panes: tuple[PaneSpec, ...]
    layout: WindowLayout | None = None
    name: str = ""
    status: str = "starting"
    directory: str = ""

    def __post_init__(self) -> None:
        if not _SLUG.fullmatch(self.slug):
            raise UsageError(f"{self.slug!r} cannot be the slug of a window")
        if not self.panes:
            raise UsageError(f"the window of {self.slug} has no panes")
        if self.layout is not None and len(self.layout.panes) != len(self.panes):
            raise UsageError(
                f"the layout has {len(self.layout.panes)} panes, the window of {self.slug} {len(self.panes)}"
            )

    @classmethod
    def from_layout(
        cls,
        slug: str,
        agent: str,
        backend: str,
        layout: WindowLayout,
        argv_for: Callable[[PaneLayout], Sequence[str]],
        *,
        directory: str = "",
    ) -> WindowSpec:
        """Return the window of ``layout``; ``argv_for`` says what runs in each of its panes.

        A pane's program comes from a file the agent may have written: ``argv_for`` must run it in the bottle.
        """
        panes = tuple(PaneSpec(pane.role_name, tuple(argv_for(pane)), pane.program) for pane in layout.panes)
        return cls(slug=slug, agent=agent, backend=backend, panes=panes, layout=layout, directory=directory)

    @property
    def window_name(self) -> str:
        """What the status line shows: ``name``, else the slug, reduced to harmless characters."""
        return safe_name(self.name or self.slug)


@dataclass(frozen=True)
class PaneInfo:
    """A pane as tmux reports it. ``pid`` is its process; the last three mean something once it is ``dead``.

    ``dead_at`` is in seconds since the epoch, 0 where tmux does not know.
    """

    pane_id: str
    role: str
    pid: int
    active: bool
    dead: bool
    dead_status: int | None
    dead_signal: str
    dead_at: int = 0

    @property
    def ended(self) -> str:
        """How the process ended, for people; empty while it runs."""
        if not self.dead:
            return ""
        return f"signal {self.dead_signal}" if self.dead_signal else f"exit code {self.dead_status}"


@dataclass(frozen=True)
class WindowInfo:
    """A bottle's window. ``activity`` is the time of the last output in it, in seconds since the epoch.

    ``layout`` is tmux's layout string, ``tree`` the mark of the arrangement that was wanted. A pane that the user moved
    elsewhere still belongs to its bottle. ``current`` says that its session shows it, ``zoomed`` that it shows one pane
    alone.
    """

    window_id: str
    session: str
    name: str
    slug: str
    agent: str
    backend: str
    status: str
    activity: int
    layout: str
    panes: tuple[PaneInfo, ...]
    directory: str = ""
    tree: str = ""
    current: bool = False
    zoomed: bool = False

    def pane(self, role: str) -> PaneInfo | None:
        """Return the first pane of ``role``."""
        return next((pane for pane in self.panes if pane.role == role), None)


def safe_name(text: str) -> str:
    """Return ``text`` as a window name. tmux expands ``#`` in names and splits targets at ``:`` and ``.``."""
    kept = "".join(char if char.isalnum() or char in "-_ " else "_" for char in text)
    return kept.strip()[:_MAX_NAME] or "bottle"


def plain_value(text: str) -> str:
    """Return ``text`` without the control characters that would break a listing of a line a pane."""
    return "".join(char if char.isprintable() else "?" for char in text)
