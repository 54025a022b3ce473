"""Attaching, switching, popups: with real clients on real terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bottlemux.errors import NotFoundError, UsageError
from bottlemux.session.geometry import size_of
from bottlemux.session.models import PaneSpec
from bottlemux.session.server import TmuxServer
from bottlemux.session.workspace import Workspace
from tests.session.conftest import IDLE, Terminal, spec, until

if TYPE_CHECKING:
    from collections.abc import Callable

    type MakeTerminal = Callable[..., Terminal]

pytestmark = pytest.mark.tmux


def clients(server: TmuxServer) -> list[str]:
    return server.batch([["list-clients", "-F", "#{session_name} #{window_id}"]])


def tmux_of(server: TmuxServer) -> str:
    identity = server.identity()
    assert identity is not None
    return f"{server.socket_path},{identity.pid},0"


def test_attach_from_outside(workspace: Workspace, server: TmuxServer, terminal: MakeTerminal) -> None:
    one, two = workspace.open_windows([spec("one-11111"), spec("two-22222")])
    assert one.window_id != two.window_id
    terminal(workspace.attach_argv("two-22222"))
    until(lambda: clients(server) == [f"bottlemux {two.window_id}"])
    terminal(workspace.attach_argv())
    until(lambda: len(clients(server)) == 2)


def test_attach_to_nothing_names_what_there_is(workspace: Workspace) -> None:
    workspace.open_window(spec())
    with pytest.raises(NotFoundError, match="known: dev-00001"):
        workspace.attach_argv("nope-00000")


def test_inside_the_same_server_the_client_is_switched(
    workspace: Workspace, server: TmuxServer, environ: dict[str, str], terminal: MakeTerminal
) -> None:
    argv = server.argv("new-session", "-s", "mine", "--", "/bin/sh")
    user = terminal(argv)
    until(server.is_running)
    until(lambda: clients(server))
    window = workspace.open_window(spec())
    nested = TmuxServer.choose(server._name, {**environ, "TMUX": tmux_of(server)})
    assert nested.inside()
    switch = Workspace(nested).attach_argv(window.slug)
    assert switch[-3:] == ["switch-client", "-t", window.window_id]
    user.type(" ".join(f"'{word}'" for word in switch).encode() + b"\n")
    until(lambda: clients(server) == [f"bottlemux {window.window_id}"])


def test_inside_another_server_says_what_to_do(
    workspace: Workspace, make_server: Callable[[], TmuxServer], environ: dict[str, str], server: TmuxServer
) -> None:
    other = make_server()
    other.batch([["new-session", "-d", "--", *IDLE]], start=True)
    workspace.open_window(spec())
    nested = Workspace(TmuxServer(server._name, environ={**environ, "TMUX": tmux_of(other)}))
    assert not nested.server.inside()
    with pytest.raises(UsageError, match="inside another tmux") as caught:
        nested.attach_argv()
    assert "detach" in caught.value.hint
    assert nested.list() == workspace.list()


def test_a_server_of_the_same_socket_that_is_gone_is_not_inside(
    workspace: Workspace, server: TmuxServer, environ: dict[str, str]
) -> None:
    workspace.open_window(spec())
    stale = TmuxServer(server._name, environ={**environ, "TMUX": f"{server.socket_path},1,0"})
    assert not stale.inside()


def test_new_windows_do_not_take_the_screen_and_fit_it(
    workspace: Workspace, server: TmuxServer, terminal: MakeTerminal
) -> None:
    first = workspace.open_window(spec("one-11111"))
    terminal(workspace.attach_argv(), size=(133, 43))
    size = "#{window_width}"
    until(lambda: server.batch([["display-message", "-p", "-t", first.window_id, size]]) == ["133"])
    second = workspace.open_window(spec("two-22222"))
    assert clients(server) == [f"bottlemux {first.window_id}"]
    assert size_of(second.layout)[0] == 133
    workspace.select("two-22222")
    assert clients(server) == [f"bottlemux {second.window_id}"]


def test_popup_runs_an_argv_as_it_is(
    workspace: Workspace, server: TmuxServer, terminal: MakeTerminal, tmp_path: object
) -> None:
    workspace.open_window(spec())
    user = terminal(workspace.attach_argv())
    until(lambda: clients(server))
    argv = workspace.popup_argv(["sh", "-c", 'printf "<%s>" "$1" "$2"; read x', "sh", "a b;", "#{pid}$(id);"])
    popup = terminal(argv)
    user.shows("<a b;><#{pid}$(id);>")
    assert popup.pid > 0
    user.type(b"\n")


def test_destroy_unattached_does_not_end_it_after_detaching(
    workspace: Workspace, server: TmuxServer, terminal: MakeTerminal, configure: Callable[[str], None]
) -> None:
    configure("set -g destroy-unattached on")
    window = workspace.open_window(spec(panes=(PaneSpec("agent", IDLE),)))
    terminal(workspace.attach_argv())
    until(lambda: clients(server))
    server.batch([["detach-client", "-s", "=bottlemux"]])
    until(lambda: not clients(server))
    assert workspace.require(window.slug).panes[0].pid == window.panes[0].pid
