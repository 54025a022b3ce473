"""Giving a running window another layout: panes move, are opened and, if asked, closed; no kept process ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bottlemux.session import building
from bottlemux.session.geometry import Cell, layout_string
from bottlemux.session.models import PaneSpec
from bottlemux.session.saving import panes_elsewhere, read_window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bottlemux.session.layout import PaneLayout, WindowLayout
    from bottlemux.session.models import WindowInfo
    from bottlemux.session.saving import LivePane
    from bottlemux.session.server import TmuxServer

_EXTRA_SHARE = 0.25
_USERS_OWN = ""


@dataclass(frozen=True)
class Matching:
    """Which pane takes which place: ``places`` has the id of a pane, or ``None`` for one to open."""

    places: tuple[str | None, ...]
    extra: tuple[str, ...]


def match(wanted: Sequence[PaneLayout], panes: Iterable[LivePane]) -> Matching:
    """Give each wanted pane the first one that does the same; a shell may also be one of the user's own."""
    left = list(panes)
    places: list[str | None] = []
    for pane in wanted:
        found = next((live for live in left if _does(live, pane)), None)
        if found is not None:
            left.remove(found)
        places.append(found.pane_id if found else None)
    for number, pane in enumerate(wanted):
        own = next((live for live in left if live.role == _USERS_OWN), None)
        if places[number] is None and pane.role == "shell" and own is not None:
            left.remove(own)
            places[number] = own.pane_id
    return Matching(tuple(places), tuple(live.pane_id for live in left))


def _does(live: LivePane, wanted: PaneLayout) -> bool:
    return live.role == wanted.role_name and live.program == wanted.program


def rearrange(
    server: TmuxServer,
    info: WindowInfo,
    layout: WindowLayout,
    argv_for: Callable[[PaneLayout], Sequence[str]],
    *,
    close: bool = False,
) -> None:
    """Give the window of ``info`` the ``layout``. Panes that it has no place for stay below it, or are closed.

    ``argv_for`` says what runs in a pane that has to be opened. Raises ``LayoutError``, with nothing changed, when
    the window is too small.
    """
    live = read_window(server, info.window_id)
    here = {pane.pane_id for pane in live.panes}
    away = panes_elsewhere(server, info)
    matching = match(layout.panes, [*live.panes, *away])
    extra = tuple(pane for pane in matching.extra if pane in here)
    arrangement = _arrangement(layout, live.size, 0 if close else len(extra))
    joined = [place for place in matching.places if place and place not in here]
    opened = iter(_open(server, info, _missing(layout, matching, argv_for), joined))
    order = [place or next(opened) for place in matching.places]
    if close and extra:
        server.batch([["kill-pane", "-t", pane] for pane in extra])
    wanted = order if close else [*order, *extra]
    finish = swaps("swap-pane", [pane.pane_id for pane in read_window(server, info.window_id).panes], wanted)
    unset = [name for name in live.options if name not in layout.options]
    finish += [["set-option", "-wu", "-t", info.window_id, name] for name in unset]
    finish += building.option_commands(layout, info.window_id, live.size)
    if len(wanted) > 1:
        finish.append(["select-layout", "-t", info.window_id, arrangement])
    finish += building.tree_commands(info.window_id, layout if len(wanted) == len(order) else None)
    focus = order[layout.focused_pane]
    finish.append(["select-pane", "-t", focus])
    if layout.zoom and len(wanted) > 1:
        finish.append(["resize-pane", "-Z", "-t", focus])
    server.batch(finish)


def _arrangement(layout: WindowLayout, size: tuple[int, int], extra: int) -> str:
    tree = layout.cells
    if tree is None and len(layout.panes) == 1:
        tree = Cell()
    if tree is None:
        return layout.layout or "tiled"
    if extra:
        row = Cell(ratio=_EXTRA_SHARE, direction="columns", children=(Cell(),) * extra if extra > 1 else ())
        tree = Cell(direction="rows", children=(replace(tree, ratio=1 - _EXTRA_SHARE), row))
    return layout_string(tree, *size)


def _missing(
    layout: WindowLayout, matching: Matching, argv_for: Callable[[PaneLayout], Sequence[str]]
) -> list[PaneSpec]:
    return [
        PaneSpec(pane.role_name, tuple(argv_for(pane)), pane.program)
        for pane, place in zip(layout.panes, matching.places, strict=True)
        if place is None
    ]


def _open(
    server: TmuxServer, info: WindowInfo, missing: Sequence[PaneSpec], joined: Sequence[str]
) -> list[str]:
    """Open ``missing`` and move ``joined`` into the window; return the ids of the opened ones."""
    commands: list[building.Command] = []
    # A tiled window has room for one more wherever there is any.
    tiled = ["select-layout", "-t", info.window_id, "tiled"]
    for pane in missing:
        commands += [tiled, *building.pane_commands(info.window_id, info.slug, pane)]
    for pane_id in joined:
        commands += [tiled, ["join-pane", "-s", pane_id, "-t", info.window_id]]
    created = building.parse_created(server.batch(commands)) if commands else {}
    return created[info.window_id][1] if info.window_id in created else []


def swaps(command: str, present: Sequence[str], wanted: Sequence[str]) -> list[building.Command]:
    """Return what brings panes or windows from the order ``present`` into one that begins with ``wanted``.

    ``command`` is ``swap-pane`` or ``swap-window``.
    """
    order = list(present)
    commands: list[building.Command] = []
    for number, item in enumerate(wanted):
        if order[number] != item:
            at = order.index(item)
            commands.append([command, "-d", "-s", item, "-t", order[number]])
            order[number], order[at] = order[at], order[number]
    return commands
