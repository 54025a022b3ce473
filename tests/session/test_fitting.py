"""Windows keep their proportions in a terminal of another size."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottlemux.session.fitting import Fitter, _tree, fit_commands, tree_mark
from bottlemux.session.geometry import Cell, parse_layout_string
from bottlemux.session.layout import PaneLayout, TreeLayout, WindowLayout
from bottlemux.session.models import WindowSpec
from tests.session.conftest import IDLE, until
from tests.session.test_geometry import TREES

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.session.workspace import Workspace
    from tests.session.conftest import Terminal

_LAYOUT = WindowLayout(
    tree=TreeLayout(
        columns=(TreeLayout(ratio=65), TreeLayout(ratio=35, rows=(TreeLayout(ratio=60), TreeLayout(ratio=40))))
    ),
    panes=(PaneLayout(role="agent", focus=True), PaneLayout(role="shell"), PaneLayout(role="audit")),
)  # fmt: skip


def open_it(workspace: Workspace, slug: str = "dev-00001") -> None:
    spec = WindowSpec.from_layout(slug, "dev", "b", _LAYOUT, lambda _pane: IDLE)
    workspace.open_windows([spec], size=(200, 50))


def sizes(workspace: Workspace, slug: str = "dev-00001") -> list[str]:
    window = workspace.require(slug).window_id
    return workspace.server.batch([["list-panes", "-t", window, "-F", "#{pane_width}x#{pane_height}"]])


@given(tree=TREES)
def test_a_mark_is_read_as_what_it_says(tree: Cell) -> None:
    assert _tree(tree_mark(tree)) == tree


@given(text=st.text())
def test_no_mark_does_harm(text: str) -> None:
    _tree(text)


@pytest.mark.tmux
def test_attaching_finds_the_proportions(
    workspace: Workspace, environ: dict[str, str], terminal: Callable[..., Terminal]
) -> None:
    open_it(workspace)
    assert sizes(workspace) == ["129x50", "70x29", "70x20"]
    program = (
        "import os,sys\nfrom bottlemux.session.server import TmuxServer\n"
        "from bottlemux.session.workspace import Workspace\n"
        "argv=Workspace(TmuxServer(sys.argv[1])).attach_argv()\nos.execvp(argv[0], argv)"
    )
    argv = [sys.executable, "-c", program, str(workspace.server._name)]
    terminal(argv, size=(80, 24), PYTHONPATH=".")
    until(lambda: workspace.server.batch([["list-clients", "-F", "#{client_width}"]]) == ["80"])
    assert sizes(workspace) == ["51x23", "28x13", "28x9"]


@pytest.mark.tmux
def test_what_was_resized_meanwhile_gets_its_proportions_back(workspace: Workspace) -> None:
    open_it(workspace)
    fitter = Fitter()
    assert fitter.commands(workspace.list()) == []
    window = workspace.require("dev-00001").window_id
    workspace.server.batch([["resize-window", "-t", window, "-x", "80", "-y", "24"]])
    assert sizes(workspace) != ["51x24", "28x14", "28x9"]
    workspace.server.batch(fitter.commands(workspace.list()))
    assert sizes(workspace) == ["51x24", "28x14", "28x9"]
    assert fitter.commands(workspace.list()) == []
    # Back again nothing was lost, and a border that was moved by hand stays where it is.
    workspace.server.batch([["resize-window", "-t", window, "-x", "200", "-y", "50"]])
    workspace.server.batch(fitter.commands(workspace.list()))
    assert sizes(workspace) == ["129x50", "70x29", "70x20"]
    pane = workspace.require("dev-00001").panes[0].pane_id
    workspace.server.batch([["resize-pane", "-t", pane, "-x", "100"]])
    fitter.commands(workspace.list())
    workspace.server.batch([["resize-window", "-t", window, "-x", "100", "-y", "50"]])
    workspace.server.batch(fitter.commands(workspace.list()))
    assert sizes(workspace)[0] == "50x50"


@pytest.mark.tmux
def test_a_zoomed_window_stays_zoomed(workspace: Workspace) -> None:
    open_it(workspace)
    window = workspace.require("dev-00001")
    assert fit_commands(window, (80, 24))
    assert not fit_commands(replace(window, zoomed=True), (80, 24))
    assert not fit_commands(window, (3, 1))
    assert parse_layout_string(window.layout).pane_count == 3
