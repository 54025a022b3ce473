"""The tmux commands that make the session and its windows, as plain lists; nothing here runs any.

A window is built as the session's last one (``{end}``), by commands of one batch, so that no id has to be
known before it exists and a program that ends at once still finds its window marked and kept.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from bottlemux.session.commands import as_process, delayed
from bottlemux.session.fitting import tree_mark
from bottlemux.session.geometry import LayoutError, layout_string
from bottlemux.session.models import plain_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bottlemux.session.layout import WindowLayout
    from bottlemux.session.models import PaneSpec, WindowSpec

type Command = list[str]
type Place = tuple[str, str]
"""A window's id and its directory."""

SESSION = "bottlemux"
HISTORY_LINES = 50_000
NAMED_ACTIONS = ("resume", "attach")
"""The actions that texts in tmux tell a person to do, by :func:`key_or`."""

_DELAY_S = 0.3

_SESSION_TARGET = f"={SESSION}:"
_LAST = f"={SESSION}:{{end}}"
_PLACEHOLDER = f"={SESSION}:{{start}}"
_CREATED_FORMAT = "#{window_id} #{window_width} #{window_height} #{pane_id}"
_CREATED = re.compile(r"(@\d+) (\d+) (\d+) (%\d+)")
# Shown in a pane whose program ended; its first 35 cells have what brings it back, where keys are bound. The slug is of
# harmless characters only.
_DEAD_FORMAT = (
    "[#{{?pane_dead_signal,signal #{{pane_dead_signal}},exit code #{{pane_dead_status}}}}] "
    "{resume} resumes it, #{{prefix}} x closes the pane"
)

# tmux's default shows the title of the pane there, which an agent chooses.
_NO_TITLE = f"set-option -t '{_SESSION_TARGET}' status-right ' %H:%M %d-%b-%y'"
_WIDER_NAME = f"set-option -t '{_SESSION_TARGET}' status-left-length {len(SESSION) + 3}"


def session_commands(
    size: tuple[int, int], home: str, first: Sequence[str] = (), name: str = "starting"
) -> list[Command]:
    """Return what makes the session and prints its first window's id.

    That window runs ``first``; without one it is a placeholder that :func:`drop_placeholder` removes.

    The history limit holds for panes made after it, and a ``destroy-unattached`` of the user's would end
    the session before a second client could say otherwise.
    """
    width, height = size
    geometry = ["-x", str(width), "-y", str(height)]
    printed = ["-P", "-F", "#{window_id}"]
    process = as_process(first) if first else ("sleep", "60")
    return [
        [
            "new-session",
            "-d",
            "-s",
            SESSION,
            *geometry,
            "-n",
            name,
            "-c",
            literal(home),
            *printed,
            "--",
            *process,
        ],
        ["set-option", "-t", _SESSION_TARGET, "destroy-unattached", "off"],
        ["set-option", "-t", _SESSION_TARGET, "history-limit", str(HISTORY_LINES)],
        # tmux's own default has no room for the whole name; a user's choice stays.
        ["if-shell", "-F", "-t", _SESSION_TARGET, "#{==:#{status-left-length},10}", _WIDER_NAME],
        ["if-shell", "-F", "-t", _SESSION_TARGET, "#{m:*pane_title*,#{status-right}}", _NO_TITLE],
    ]


def session_options(options: Mapping[str, str]) -> list[Command]:
    """Return what sets ``options`` on the session."""
    return [["set-option", "-t", _SESSION_TARGET, name, value] for name, value in options.items()]


def drop_placeholder() -> list[Command]:
    """Return what ends the building of a new session."""
    return [["kill-window", "-t", _PLACEHOLDER], ["move-window", "-r", "-t", _SESSION_TARGET]]


def home_window(shell: str, home: str) -> list[Command]:
    """Return what makes a window with the user's own shell, for a workspace without a bottle."""
    return [_new_window("home", home, as_process([shell]))]


def started_later(spec: WindowSpec) -> WindowSpec:
    """Return ``spec`` such that its panes' programs start once the windows made with it are there."""
    panes = tuple(replace(pane, argv=delayed(pane.argv, _DELAY_S)) for pane in spec.panes)
    return replace(spec, panes=panes)


def window_commands(spec: WindowSpec, home: str) -> list[Command]:
    """Return what makes the window of ``spec`` with all its panes, for :func:`arrange_commands` to arrange.

    Each pane prints a line that :func:`parse_created` reads.
    """
    first, *others = spec.panes
    commands = [_new_window(spec.window_name, home, as_process(first.argv)), *_mark_window(spec)]
    commands += _mark_pane(spec.slug, first)
    for number, pane in enumerate(others, start=1):
        if number > 1:
            commands.append(["select-layout", "-t", _LAST, "tiled"])
        commands.append(_split(home, as_process(pane.argv)))
        commands += _mark_pane(spec.slug, pane)
    return commands


def parse_created(lines: Sequence[str]) -> dict[str, tuple[tuple[int, int], list[str]]]:
    """Return by window id its size and its panes' ids, in the order of making."""
    created: dict[str, tuple[tuple[int, int], list[str]]] = {}
    for line in lines:
        # A hook of the user's may print lines of its own.
        if found := _CREATED.fullmatch(line):
            window_id, width, height, pane_id = found.groups()
            created.setdefault(window_id, ((int(width), int(height)), []))[1].append(pane_id)
    return created


def arrange_commands(
    spec: WindowSpec, window_id: str, size: tuple[int, int], pane_ids: Sequence[str]
) -> list[Command]:
    """Return what gives the window its layout, options and focus, once its size is known."""
    layout = spec.layout
    focus = layout.focused_pane if layout is not None else 0
    commands = option_commands(layout, window_id, size) if layout is not None else []
    if len(pane_ids) > 1:
        commands.append(["select-layout", "-t", window_id, _layout_name(spec, size)])
    commands += tree_commands(window_id, layout)
    commands.append(["select-pane", "-t", pane_ids[focus]])
    if layout is not None and layout.zoom and len(pane_ids) > 1:
        commands.append(["resize-pane", "-Z", "-t", pane_ids[focus]])
    return commands


def grouping_commands(there: Sequence[Place], new: Sequence[Place]) -> list[Command]:
    """Return what moves each of the ``new`` windows, the session's last, behind those of its own directory."""
    order, commands = list(there), list[Command]()
    for window_id, directory in new:
        same = [number for number, (_, other) in enumerate(order) if other == directory and directory]
        at = same[-1] + 1 if same else len(order)
        if at < len(order):
            commands.append(["move-window", "-d", "-a", "-s", window_id, "-t", order[at - 1][0]])
        order.insert(at, (window_id, directory))
    return commands


def tree_commands(window_id: str, layout: WindowLayout | None) -> list[Command]:
    """Return what marks a window with the arrangement it was given, or with none."""
    tree = layout.cells if layout is not None else None
    return [["set-option", "-w", "-t", window_id, "@bottlemux_tree", tree_mark(tree) if tree else ""]]


def option_commands(layout: WindowLayout, window_id: str, size: tuple[int, int]) -> list[Command]:
    """Return what sets the options that ``layout`` names."""
    return [
        ["set-option", "-wq", "-t", window_id, name, _in_characters(name, value, size)]
        for name, value in layout.options.items()
    ]


def pane_commands(window_id: str, slug: str, pane: PaneSpec, home: str = "/") -> list[Command]:
    """Return what adds ``pane`` to a window there is, as its active one; :func:`parse_created` reads its line."""
    return [_split(home, as_process(pane.argv), window_id), *_mark_pane(slug, pane, window_id)]


def key_option(action: str) -> str:
    """Return the server's option that says, as a format, what to press for ``action`` while our keys are bound."""
    return f"@bottlemux_key_{action}"


def key_or(action: str, command: str) -> str:
    """Return the format of what does ``action``: the key where our keys are bound, or else ``command``."""
    option = key_option(action)
    return f"#{{?{option},#{{E:{option}}},{command}}}"


def literal(text: str) -> str:
    """Return ``text`` for an argument in which tmux expands formats: ``#(...)`` would run a program."""
    return text.replace("#", "##")


def _in_characters(name: str, value: str, size: tuple[int, int]) -> str:
    """Return a share of the window as a number of characters: tmux before 3.3 takes no percentage."""
    if not value.endswith("%"):
        return value
    return str(size[0 if name.endswith("width") else 1] * int(value[:-1]) // 100)


def _layout_name(spec: WindowSpec, size: tuple[int, int]) -> str:
    if spec.layout is None:
        return "main-vertical"
    tree = spec.layout.cells
    if tree is None:
        return spec.layout.layout or "tiled"
    try:
        return layout_string(tree, *size)
    except LayoutError:
        return "tiled"


def _new_window(name: str, home: str, process: Sequence[str]) -> Command:
    where = ["-d", "-a", "-t", _LAST, "-n", name, "-c", literal(home)]
    return ["new-window", *where, "-P", "-F", _CREATED_FORMAT, "--", *process]


def _split(home: str, process: Sequence[str], target: str = _LAST) -> Command:
    # Not -d: the new pane becomes the window's active one, which is how the next command finds it.
    return ["split-window", "-t", target, "-c", literal(home), "-P", "-F", _CREATED_FORMAT, "--", *process]


def _mark_window(spec: WindowSpec) -> list[Command]:
    options = {
        "remain-on-exit": "on",
        "remain-on-exit-format": _DEAD_FORMAT.format(
            resume=key_or("resume", f"bottlemux resume {spec.slug}")
        ),
        "allow-rename": "off",
        "allow-passthrough": "off",
        "@bottlemux_slug": spec.slug,
        "@bottlemux_agent": plain_value(spec.agent),
        "@bottlemux_backend": plain_value(spec.backend),
        "@bottlemux_status": plain_value(spec.status),
        "@bottlemux_directory": plain_value(spec.directory),
    }
    # -q: an option this version of tmux does not know is left out.
    return [["set-option", "-wq", "-t", _LAST, name, value] for name, value in options.items()]


def _mark_pane(slug: str, pane: PaneSpec, target: str = _LAST) -> list[Command]:
    # The slug is on the pane too, so that it is still found when the user moves it to a window of its own.
    marks = {"@bottlemux_slug": slug, "@bottlemux_role": plain_value(pane.role)}
    if pane.program:
        marks["@bottlemux_command"] = pane.program.mark()
    return [["set-option", "-p", "-t", target, name, value] for name, value in marks.items()]
