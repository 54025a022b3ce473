"""The layout file: a subset of tmuxp's YAML, plus keys of our own that tmuxp passes over.

A layout of the working directory may have been written by an agent. So a file can name roles, and options
that hold no format and no program; a ``shell_command`` is for the inside of the bottle only.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bottlemux.session.geometry import Cell, LayoutError, parse_layout_string

type Role = Literal["agent", "shell", "logs", "audit", "diff"]

NAMED_LAYOUTS = ("even-horizontal", "even-vertical", "main-horizontal", "main-vertical", "tiled")
MAX_PANES = 16
MAX_WINDOWS = 64

_SIZE = r"\d{1,4}%?"
_FLAG = "on|off"
_OPTIONS = {
    "aggressive-resize": _FLAG,
    "main-pane-height": _SIZE,
    "main-pane-width": _SIZE,
    "monitor-activity": _FLAG,
    "monitor-bell": _FLAG,
    "other-pane-height": _SIZE,
    "other-pane-width": _SIZE,
    "pane-border-status": "off|top|bottom",
}


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _as_pane(value: object) -> object:
    return {"shell_command": value} if isinstance(value, str) else value


def _option_value(value: object) -> object:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if isinstance(value, int) else value


def _check_options(options: dict[str, str]) -> dict[str, str]:
    for name, value in options.items():
        if name not in _OPTIONS:
            raise ValueError(f"{name!r} cannot be set by a layout (known: {', '.join(_OPTIONS)})")
        if not re.fullmatch(_OPTIONS[name], value):
            raise ValueError(f"{name!r} cannot be {value!r}")
    return options


def _check_layout(layout: str | None) -> str | None:
    if layout is not None and layout not in NAMED_LAYOUTS:
        try:
            parse_layout_string(layout)
        except LayoutError as error:
            raise ValueError(f"{error.message} (or one of {', '.join(NAMED_LAYOUTS)})") from error
    return layout


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PaneLayout(_Model):
    """A pane: what bottlemux puts there (``role``), or commands to run in the bottle (``shell_command``)."""

    role: Role | None = None
    shell_command: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = ()
    focus: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.role is None) == (not self.shell_command):
            raise ValueError("a pane has either a role or a shell_command")
        return self

    @property
    def role_name(self) -> str:
        """The mark the pane carries: its role, ``command`` for a ``shell_command``."""
        return self.role or "command"


class TreeLayout(_Model):
    """An arrangement by ratios: a pane, or ``columns`` or ``rows`` of more. Panes count depth first."""

    ratio: Annotated[float, Field(gt=0, le=10_000)] = 1.0
    columns: tuple[TreeLayout, ...] | None = Field(default=None, min_length=2, max_length=MAX_PANES)
    rows: tuple[TreeLayout, ...] | None = Field(default=None, min_length=2, max_length=MAX_PANES)

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if self.columns and self.rows:
            raise ValueError("a cell has either columns or rows")
        return self

    def cell(self) -> Cell:
        """Return the arrangement for the arithmetic."""
        children = tuple(child.cell() for child in self.columns or self.rows or ())
        return Cell(ratio=self.ratio, direction="rows" if self.rows else "columns", children=children)

    @classmethod
    def from_cell(cls, cell: Cell) -> Self:
        """Return the file's form of ``cell``."""
        children = tuple(cls.from_cell(child) for child in cell.children) or None
        return cls(
            ratio=cell.ratio,
            columns=children if cell.direction == "columns" else None,
            rows=children if cell.direction == "rows" else None,
        )


class WindowLayout(_Model):
    """A window. ``tree`` decides the arrangement; ``layout`` does without it, and for tmuxp.

    ``zoom`` shows the pane with the focus alone.
    """

    window_name: str = Field(default="bottle", max_length=80)
    agent: str | None = None
    layout: Annotated[str | None, AfterValidator(_check_layout)] = None
    tree: TreeLayout | None = None
    options: Annotated[
        dict[str, Annotated[str, BeforeValidator(_option_value)]], AfterValidator(_check_options)
    ] = {}
    focus: bool = False
    zoom: bool = False
    panes: tuple[Annotated[PaneLayout, BeforeValidator(_as_pane)], ...] = Field(
        min_length=1, max_length=MAX_PANES
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sum(pane.focus for pane in self.panes) > 1:
            raise ValueError("only one pane of a window can have the focus")
        cells = self.cells
        if cells is not None and cells.pane_count != len(self.panes):
            raise ValueError(
                f"the arrangement is for {cells.pane_count} panes, the window has {len(self.panes)}"
            )
        return self

    @property
    def cells(self) -> Cell | None:
        """The arrangement by ratios, ``None`` for one of tmux's named layouts."""
        if self.tree is not None:
            return self.tree.cell()
        if self.layout is None or self.layout in NAMED_LAYOUTS:
            return None
        return parse_layout_string(self.layout)

    @property
    def focused_pane(self) -> int:
        """The number of the pane that is active at first."""
        return next((number for number, pane in enumerate(self.panes) if pane.focus), 0)


class Layout(_Model):
    """A layout file: its first window is that of a bottle, several are a whole workspace."""

    session_name: str = Field(default="bottlemux", max_length=80)
    windows: tuple[WindowLayout, ...] = Field(min_length=1, max_length=MAX_WINDOWS)
