from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bottlemux.palette.miniature import draw, draw_window
from bottlemux.resources import layouts_dir
from bottlemux.session.layout import NAMED_LAYOUTS, Layout, PaneLayout, TreeLayout, WindowLayout
from bottlemux.session.layout_files import load_layout

if TYPE_CHECKING:
    from pathlib import Path

AGENT, SHELL = PaneLayout(role="agent", focus=True), PaneLayout(role="shell")


def test_panes_are_boxes_with_their_roles() -> None:
    tree = TreeLayout(columns=(TreeLayout(ratio=2), TreeLayout(rows=(TreeLayout(), TreeLayout()))))
    window = WindowLayout(tree=tree, panes=(AGENT, SHELL, PaneLayout(shell_command=("make \x1b[2Jtest",))))
    assert list(draw_window(window, 24, 7)) == [
        "┌──────────────┬───────┐",
        "│              │ shell │",
        "│              │       │",
        "│ agent*       ├───────┤",
        "│              │ make \\│",
        "│              │       │",
        "└──────────────┴───────┘",
    ]


@pytest.mark.parametrize("count", range(1, 10))
@pytest.mark.parametrize("name", NAMED_LAYOUTS)
def test_every_arrangement_has_a_box_for_each_pane(name: str, count: int) -> None:
    panes = tuple(PaneLayout(shell_command=(str(number),)) for number in range(count))
    drawn = list(draw_window(WindowLayout(layout=name, panes=panes)))
    assert len({len(line) for line in drawn}) == 1
    assert all(str(number) in "".join(drawn) for number in range(count))


@pytest.mark.parametrize("path", sorted(layouts_dir().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_layout_can_be_drawn(path: Path) -> None:
    assert "agent" in "\n".join(draw(load_layout(path), 11))


def test_a_whole_workspace_has_a_drawing_for_each_window() -> None:
    windows = (
        WindowLayout(window_name="one", agent="a", panes=(AGENT,)),
        WindowLayout(window_name="two", panes=(SHELL,)),
    )
    text = "\n".join(draw(Layout(windows=windows), 40))
    assert text.index("one (a)") < text.index("agent") < text.index("two") < text.index("shell")


@pytest.mark.parametrize("rows", [7, 11])
@pytest.mark.parametrize("path", sorted(layouts_dir().glob("*.yaml")), ids=lambda path: path.stem)
def test_a_drawing_is_whole_in_the_room_there_is(path: Path, rows: int) -> None:
    for window in load_layout(path).windows:
        drawn = list(draw(Layout(windows=(window,)), rows))
        assert len(drawn) == rows
        assert drawn[-1].startswith("└")
        assert all(pane.role in "".join(drawn) for pane in window.panes if pane.role)


def test_windows_share_the_room() -> None:
    windows = tuple(WindowLayout(window_name=name, panes=(AGENT,)) for name in ("one", "two"))
    assert len(list(draw(Layout(windows=windows), 13))) == 13
