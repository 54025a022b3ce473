"""Save, apply, save: the same layout again, and the same processes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from bottlemux.session.geometry import Cell, LayoutError
from bottlemux.session.layout import PaneLayout, TreeLayout, WindowLayout
from bottlemux.session.models import WindowInfo, WindowSpec
from bottlemux.session.rearranging import rearrange
from bottlemux.session.saving import read_window, to_layout
from tests.session.conftest import IDLE

if TYPE_CHECKING:
    from bottlemux.session.workspace import Workspace

pytestmark = pytest.mark.tmux

_SLUG = "dev-00001"
_ROLES = ("shell", "logs", "audit", "diff")


def idle(_pane: PaneLayout) -> tuple[str, ...]:
    return IDLE


def random_tree(chance: random.Random, panes: int, direction: str = "columns") -> Cell:
    if panes == 1:
        return Cell(ratio=chance.randint(1, 9))
    parts = chance.randint(2, min(panes, 3))
    cuts = sorted(chance.sample(range(1, panes), parts - 1))
    sizes = [after - before for before, after in zip([0, *cuts], [*cuts, panes], strict=True)]
    other = "rows" if direction == "columns" else "columns"
    children = tuple(random_tree(chance, size, other) for size in sizes)
    return Cell(ratio=chance.randint(1, 9), direction=direction, children=children)  # type: ignore[arg-type]


def random_layout(seed: int) -> WindowLayout:
    chance = random.Random(seed)
    count = chance.randint(1, 6)
    panes = [PaneLayout(role="agent")]
    for number in range(1, count):
        command = chance.random() < 0.3
        panes.append(
            PaneLayout(shell_command=(f"echo {number}; 'q' #{{x}} \u00e9\n;",))
            if command
            else PaneLayout(role=chance.choice(_ROLES))  # type: ignore[arg-type]
        )
    chance.shuffle(panes)
    focused = chance.randrange(count)
    panes[focused] = panes[focused].model_copy(update={"focus": True})
    tree = random_tree(chance, count, chance.choice(["columns", "rows"]))
    return WindowLayout(
        agent="dev", tree=TreeLayout.from_cell(tree) if count > 1 else None,
        zoom=count > 1 and chance.random() < 0.3, panes=tuple(panes),
    )  # fmt: skip


def open_with(workspace: Workspace, layout: WindowLayout, slug: str = _SLUG) -> WindowInfo:
    return workspace.open_window(WindowSpec.from_layout(slug, "dev", "bubblewrap", layout, idle))


def saved(workspace: Workspace, slug: str = _SLUG) -> WindowLayout:
    info = workspace.require(slug)
    return to_layout(read_window(workspace.server, info.window_id), info)


def pids(workspace: Workspace, slug: str = _SLUG) -> dict[str, int]:
    return {pane.pane_id: pane.pid for pane in workspace.require(slug).panes}


def test_save_apply_save_is_equal(workspace: Workspace) -> None:
    for seed in range(12):
        layout = random_layout(seed)
        open_with(workspace, layout)
        first, before = saved(workspace), pids(workspace)
        assert [(p.role, p.shell_command, p.focus) for p in first.panes] == [
            (p.role, p.shell_command, p.focus or len(layout.panes) == 1) for p in layout.panes
        ]
        assert first.zoom == layout.zoom
        window = workspace.require(_SLUG).window_id
        scramble = [["select-layout", "-t", window, "tiled"]]
        panes = list(before)
        scramble += [["swap-pane", "-s", pane, "-t", panes[seed % len(panes)]] for pane in panes[1:]]
        workspace.server.batch([*scramble, ["select-pane", "-t", panes[-1]]])
        rearrange(workspace.server, workspace.require(_SLUG), first, idle)
        assert saved(workspace) == first, f"seed {seed}"
        assert pids(workspace) == before, f"seed {seed}"
        # The same layout also makes a new window like it.
        open_with(workspace, first, "dev-00002")
        assert saved(workspace, "dev-00002").model_copy(update={"focus": True}) == first, f"seed {seed}"
        workspace.close("dev-00002")
        workspace.close(_SLUG)


def test_missing_panes_are_opened_and_extra_ones_stay(workspace: Workspace) -> None:
    open_with(workspace, _panes("agent", "logs"))
    before = pids(workspace)
    rearrange(workspace.server, workspace.require(_SLUG), _panes("agent", "shell", "audit"), idle)
    panes = workspace.require(_SLUG).panes
    assert [pane.role for pane in panes] == ["agent", "shell", "audit", "logs"]
    assert before.items() <= pids(workspace).items()


def test_extra_panes_are_closed_when_asked(workspace: Workspace) -> None:
    open_with(workspace, _panes("agent", "logs"))
    agent = workspace.require(_SLUG).panes[0]
    rearrange(workspace.server, workspace.require(_SLUG), _panes("shell", "agent"), idle, close=True)
    panes = workspace.require(_SLUG).panes
    assert [pane.role for pane in panes] == ["shell", "agent"]
    assert (panes[1].pane_id, panes[1].pid) == (agent.pane_id, agent.pid)


def test_a_pane_that_was_moved_away_comes_back(workspace: Workspace) -> None:
    open_with(workspace, _panes("agent", "logs"))
    logs = workspace.require(_SLUG).panes[1]
    workspace.server.batch([["break-pane", "-d", "-s", logs.pane_id]])
    rearrange(workspace.server, workspace.require(_SLUG), _panes("logs", "agent"), idle)
    live = read_window(workspace.server, workspace.require(_SLUG).window_id)
    assert next((pane.role, pane.pane_id) for pane in live.panes) == ("logs", logs.pane_id)


def test_a_split_of_the_users_is_kept_as_a_shell(workspace: Workspace) -> None:
    info = open_with(workspace, _panes("agent"))
    workspace.server.batch([["split-window", "-t", info.window_id, "--", *IDLE]])
    first, before = saved(workspace), pids(workspace)
    assert [pane.role for pane in first.panes] == ["agent", "shell"]
    rearrange(workspace.server, workspace.require(_SLUG), first, idle)
    assert (saved(workspace), pids(workspace)) == (first, before)


def test_a_window_that_is_too_small_stays_as_it_is(workspace: Workspace) -> None:
    info = open_with(workspace, _panes("agent", "logs"))
    workspace.server.batch([["resize-window", "-t", info.window_id, "-x", "20", "-y", "3"]])
    before = saved(workspace)
    tree = TreeLayout(rows=tuple(TreeLayout() for _ in range(4)))
    wanted = WindowLayout(tree=tree, panes=_panes("agent", "logs", "shell", "audit").panes)
    with pytest.raises(LayoutError, match="too small"):
        rearrange(workspace.server, workspace.require(_SLUG), wanted, idle)
    assert saved(workspace) == before


def _panes(*roles: str) -> WindowLayout:
    panes = tuple(PaneLayout(role=role) for role in roles)  # type: ignore[arg-type]
    tree = TreeLayout(rows=tuple(TreeLayout() for _ in roles)) if len(roles) > 1 else None
    return WindowLayout(tree=tree, panes=panes)
