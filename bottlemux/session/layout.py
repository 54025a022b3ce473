"""The layout file: a subset of tmuxp's YAML, plus keys of our own that tmuxp passes over.

A layout of the working directory may have been written by an agent. So a file can name roles, and options
that hold no format and no program; a ``shell_command`` or ``argv`` is for the inside of the bottle only.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bottlemux.identity import is_name, is_slug
from bottlemux.session.geometry import Cell, LayoutError, parse_layout_string
from bottlemux.session.models import Program

type Role = Literal["agent", "shell", "logs", "audit", "diff"]

NAMED_LAYOUTS = ("even-horizontal", "even-vertical", "main-horizontal", "main-vertical", "tiled")
UNNAMED = "bottle"
MAX_PANES = 16
MAX_WINDOWS = 64

_SIZE = r"\d{1,4}%?"
_FLAG = "on|off"
OPTIONS = {
    "aggressive-resize": _FLAG,
    "main-pane-height": _SIZE,
    "main-pane-width": _SIZE,
    "monitor-activity": _FLAG,
    "monitor-bell": _FLAG,
    "other-pane-height": _SIZE,
    "other-pane-width": _SIZE,
    "pane-border-status": "off|top|bottom",
}


def _check_name(name: str) -> str:
    if not is_name(name):
        raise ValueError("is not a name")
    return name


def _check_slug(slug: str) -> str:
    if not is_slug(slug):
        raise ValueError("is not of the form AGENT-xxxxx")
    return slug


def _check_argv(argv: tuple[str, ...]) -> tuple[str, ...]:
    if argv and not argv[0]:
        raise ValueError("the program is empty")
    return argv


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
        if name not in OPTIONS:
            raise ValueError(f"{name!r} cannot be set by a layout (known: {', '.join(OPTIONS)})")
        if not re.fullmatch(OPTIONS[name], value):
            raise ValueError(f"{name!r} cannot be {value!r}")
    return options


def _check_layout(layout: str | None) -> str | None:
    if layout is not None and layout not in NAMED_LAYOUTS:
        try:
            parse_layout_string(layout)
        except LayoutError as error:
            raise ValueError(f"{error.message} (or one of {', '.join(NAMED_LAYOUTS)})") from error
    return layout


_Name = Annotated[str, AfterValidator(_check_name)]
_Word = Annotated[str, Field(pattern=r"^[^\x00]*\z", json_schema_extra={"pattern": "^[^\\u0000]*$"})]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class PaneLayout(_Model):
    """A pane: what bottlemux puts there, or a program to run in the bottle."""

    role: Role | None = None
    """The agent itself, a shell in its bottle, the record of its requests (audit), its sidecars' logs, or its changes
    (diff)."""
    shell_command: Annotated[
        tuple[_Word, ...], BeforeValidator(_as_list, json_schema_input_type=str | tuple[str, ...])
    ] = ()
    """Lines for a shell in the bottle. They never run outside of it."""
    argv: Annotated[tuple[_Word, ...], AfterValidator(_check_argv)] = ()
    """A program and its arguments, word for word, to run in the bottle without a shell."""
    focus: bool = False
    """Whether the pane is the active one of its window."""

    @model_validator(mode="after")
    def _one_of_all(self) -> Self:
        if (self.role is not None) + bool(self.shell_command) + bool(self.argv) != 1:
            raise ValueError("a pane has either a role, a shell_command or an argv")
        return self

    @property
    def role_name(self) -> str:
        """The mark the pane carries: its role, ``command`` for a program of its own."""
        return self.role or "command"

    @property
    def program(self) -> Program:
        """What runs in the pane where it has no role."""
        return Program(self.shell_command, self.argv)


class TreeLayout(_Model):
    """An arrangement by ratios: a pane, or ``columns`` or ``rows`` of more. Panes count depth first."""

    ratio: Annotated[float, Field(gt=0, le=10_000)] = 1.0
    """The share of the space among its neighbours: 2 beside 1 is two thirds."""
    columns: tuple[TreeLayout, ...] | None = Field(default=None, min_length=2, max_length=MAX_PANES)
    """What stands side by side in it."""
    rows: tuple[TreeLayout, ...] | None = Field(default=None, min_length=2, max_length=MAX_PANES)
    """What is stacked in it."""

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
    """A window, that of one bottle. ``tree`` decides the arrangement; ``layout`` does without it, and for tmuxp."""

    window_name: str = Field(default=UNNAMED, max_length=80)
    """What the window is called; ``bottle`` to have it named after its bottle."""
    agent: _Name | None = None
    """Whose window it is, in a layout of a whole session: the agent is started where it does not run."""
    slug: Annotated[str, AfterValidator(_check_slug)] | None = None
    """The very bottle that the window belongs to: it is brought back if it ended, with its conversation."""
    bottle: _Name | None = None
    """The bottle manifest that the agent has to have; with another one it is not started."""
    start_directory: Annotated[str, Field(max_length=4096)] | None = None
    """The project's directory (default: the one that the layout is applied from)."""
    workspace: Literal["mount", "clone", "copy"] | None = None
    """How the agent gets the project (default: what its manifest says)."""
    args: Annotated[tuple[_Word, ...], Field(max_length=64)] = ()
    """More arguments of the agent's program."""
    layout: Annotated[str | None, AfterValidator(_check_layout)] = None
    """One of tmux's named layouts, or a layout string of tmux's."""
    tree: TreeLayout | None = None
    """The arrangement by ratios."""
    options: Annotated[
        dict[str, Annotated[str, BeforeValidator(_option_value, json_schema_input_type=str | int | bool)]],
        AfterValidator(_check_options),
        Field(json_schema_extra={"propertyNames": {"enum": list(OPTIONS)}}),
    ] = {}
    """Options of the window."""
    focus: bool = False
    """Whether the window is the session's current one."""
    zoom: bool = False
    """Whether the pane with the focus is shown alone."""
    panes: tuple[
        Annotated[PaneLayout, BeforeValidator(_as_pane, json_schema_input_type=str | PaneLayout)], ...
    ] = Field(min_length=1, max_length=MAX_PANES)
    """The panes, in the order of the arrangement; a text is a ``shell_command``."""

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
    """For tmuxp; the session of the workspace is always ``bottlemux``."""
    windows: tuple[WindowLayout, ...] = Field(min_length=1, max_length=MAX_WINDOWS)
    """The windows."""

    @property
    def is_session(self) -> bool:
        """Whether it arranges a whole session, not one bottle's window."""
        return len(self.windows) > 1

    def window_for(self, agent: str, number: int | None = None) -> WindowLayout:
        """Return the ``number``-th window, else the first one of ``agent``, else the first one of all."""
        if number is not None and 1 <= number <= len(self.windows):
            return self.windows[number - 1]
        return next((window for window in self.windows if window.agent == agent), self.windows[0])
