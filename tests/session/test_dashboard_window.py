"""The workspace's own window, on a real tmux server: made first, lowest, found by its mark, brought back."""

from __future__ import annotations

import operator
import subprocess
from typing import TYPE_CHECKING

import pytest

from bottlemux.session.workspace import Workspace
from tests.session.conftest import IDLE, spec, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.session.server import TmuxServer

pytestmark = pytest.mark.tmux

DASHBOARD = ("sh", "-c", "echo shown; exec sleep 1000")


@pytest.fixture
def workspace(server: TmuxServer, environ: dict[str, str]) -> Workspace:
    return Workspace(server, environ=environ, dashboard=lambda: DASHBOARD)


def windows(workspace: Workspace) -> list[str]:
    fields = "#{window_index} #{window_name} #{window_active} #{@bottlemux_role}"
    return workspace.server.batch([["list-windows", "-t", "=bottlemux:", "-F", fields]])


def dashboards(workspace: Workspace) -> list[tuple[str, bool]]:
    lines = workspace.server.batch([
        ["list-panes", "-a", "-f", "#{==:#{@bottlemux_role},dashboard}", "-F", "#{pane_id} #{pane_dead}"]
    ])  # fmt: skip
    return [(line.split()[0], line.endswith(" 1")) for line in lines]


def test_a_workspace_without_bottles_is_the_dashboard(workspace: Workspace) -> None:
    workspace.ensure(size=(90, 30))
    workspace.ensure()
    assert windows(workspace) == ["0 dashboard 1 dashboard"]
    assert workspace.list() == []
    (pane, _dead), *others = dashboards(workspace)
    assert not others
    until(lambda: "shown" in workspace.capture(pane))


def test_with_a_bottle_it_is_the_first_window_and_the_bottle_the_current_one(workspace: Workspace) -> None:
    workspace.open_window(spec("one-11111"))
    assert windows(workspace) == ["0 dashboard 0 dashboard", "1 one-11111 1 agent"]
    workspace.open_window(spec("two-22222"))
    assert [line.split()[1] for line in windows(workspace)] == ["dashboard", "one-11111", "two-22222"]
    assert [window.slug for window in workspace.list()] == ["one-11111", "two-22222"]


def test_it_begins_after_the_bottle_that_the_session_is_made_for(workspace: Workspace) -> None:
    workspace.open_window(spec())
    (pane, _dead) = dashboards(workspace)[0]
    command = workspace.server.batch([["display-message", "-p", "-t", pane, "#{pane_start_command}"]])
    assert "sleep" in command[0]
    until(lambda: "shown" in workspace.capture(pane))


@pytest.mark.parametrize("base", [0, 1, 7])
def test_the_users_base_index_is_kept(
    workspace: Workspace,
    configure: Callable[[str], None],
    base: int,
) -> None:
    configure(f"set -g base-index {base}\nset -g pane-base-index {base}\nset -g renumber-windows on\n")
    workspace.open_window(spec())
    assert [line.split()[0] for line in windows(workspace)] == [str(base), str(base + 1)]
    assert windows(workspace)[0].split()[1] == "dashboard"
    workspace.server.batch([["kill-pane", "-t", dashboards(workspace)[0][0]]])
    workspace.dashboard.revive()
    assert windows(workspace)[0].split()[:2] == [str(base), "dashboard"]


def test_it_is_found_by_its_mark_wherever_it_is_and_whatever_it_is_called(workspace: Workspace) -> None:
    workspace.open_window(spec())
    (pane, _dead) = dashboards(workspace)[0]
    workspace.server.batch([
        ["rename-window", "-t", pane, "mine"], ["move-window", "-s", pane, "-t", "=bottlemux:9"],
    ])  # fmt: skip
    workspace.dashboard.revive()
    workspace.open_window(spec("two-22222"))
    assert [found for found, _ in dashboards(workspace)] == [pane]


@pytest.mark.parametrize("gone", [pytest.param(True, id="closed"), pytest.param(False, id="killed")])
@pytest.mark.parametrize("by", ["ensure", "open_window", "dashboard.revive"])
def test_it_comes_back(workspace: Workspace, by: str, *, gone: bool) -> None:
    workspace.open_window(spec("one-11111"))
    (pane, _dead) = dashboards(workspace)[0]
    if gone:
        workspace.server.batch([["kill-pane", "-t", pane]])
    else:
        (pid,) = workspace.server.batch([["display-message", "-p", "-t", pane, "#{pane_pid}"]])
        subprocess.run(["kill", "-9", pid], check=True)
        until(lambda: dashboards(workspace)[0][1], "the end of the dashboard")
    arguments = {"open_window": [spec("two-22222")]}.get(by, [])
    operator.attrgetter(by)(workspace)(*arguments)
    (found, dead), *others = dashboards(workspace)
    assert (dead, others) == (False, [])
    assert windows(workspace)[0].split()[:2] == ["0", "dashboard"]
    assert "one-11111" in windows(workspace)[1]
    until(lambda: "shown" in workspace.capture(found))


def test_no_window_of_the_users_is_renumbered_without_need(workspace: Workspace) -> None:
    workspace.open_window(spec())
    workspace.server.batch([["kill-pane", "-t", dashboards(workspace)[0][0]]])
    workspace.dashboard.revive()
    assert [line.split()[:2] for line in windows(workspace)] == [["0", "dashboard"], ["1", "dev-00001"]]
    workspace.server.batch([
        ["kill-pane", "-t", dashboards(workspace)[0][0]], ["move-window", "-s", "=bottlemux:1", "-t", "=bottlemux:0"],
    ])  # fmt: skip
    workspace.dashboard.revive()
    assert [line.split()[:2] for line in windows(workspace)] == [["0", "dashboard"], ["1", "dev-00001"]]


def test_where_it_is_switched_off_there_is_none(server: TmuxServer, environ: dict[str, str]) -> None:
    workspace = Workspace(server, environ=environ, dashboard=lambda: None)
    workspace.open_window(spec())
    workspace.dashboard.revive()
    assert dashboards(workspace) == []
    assert windows(workspace) == ["0 dev-00001 1 agent"]


def test_a_session_with_nothing_else_ends_unless_somebody_looks(
    workspace: Workspace,
    server: TmuxServer,
    terminal: Callable[..., object],
) -> None:
    workspace.open_window(spec())
    workspace.dashboard.end_if_unused()
    assert workspace.exists()
    user = terminal(workspace.attach_argv())
    until(lambda: server.batch([["list-clients"]]))
    workspace.close("dev-00001")
    workspace.dashboard.end_if_unused()
    assert workspace.exists()
    assert user
    server.batch([["detach-client", "-s", "=bottlemux"]])
    until(lambda: not server.batch([["list-clients"]]))
    server.batch([["new-window", "-d", "-t", "=bottlemux:", "--", *IDLE]])
    workspace.dashboard.end_if_unused()
    assert workspace.exists(), "the user's own window"
    server.batch([["kill-window", "-t", "=bottlemux:{end}"]])
    workspace.dashboard.end_if_unused()
    assert not workspace.exists()


def test_nobody_else_is_asked_what_runs_in_it(server: TmuxServer, environ: dict[str, str]) -> None:
    asked: list[int] = []
    workspace = Workspace(server, environ=environ, dashboard=lambda: asked.append(1) or DASHBOARD)
    workspace.open_window(spec("one-11111"))
    workspace.open_window(spec("two-22222"))
    workspace.dashboard.revive()
    workspace.list()
    assert asked == [1]


def test_who_attaches_sees_the_last_bottle(
    workspace: Workspace, server: TmuxServer, terminal: Callable[..., object]
) -> None:
    workspace.ensure()
    assert workspace.dashboard.landing() is None
    workspace.open_windows([spec("one-11111"), spec("two-22222")])
    for slug in ("two-22222", "one-11111"):
        workspace.select(slug)
        assert workspace.dashboard.landing() is None, "the session is left as it is"
        server.batch([["select-window", "-t", "=bottlemux:{start}"]])
        assert workspace.dashboard.landing() == slug
    user = terminal(workspace.attach_argv("one-11111"))
    until(lambda: server.batch([["list-clients"]]))
    server.batch([["select-window", "-t", "=bottlemux:{start}"]])
    assert workspace.dashboard.landing() is None, "somebody looks at it"
    assert user
