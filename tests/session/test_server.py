from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bottlemux.errors import BottlemuxError, UnavailableError, UsageError
from bottlemux.session import server as server_module
from bottlemux.session.server import ServerGoneError, TmuxError, TmuxServer, parse_version
from bottlemux.session.workspace import Workspace
from tests.session.conftest import IDLE, spec, until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.tmux

TMUX = "/run/tmux-1000/de,fault,4321,0"


@pytest.mark.parametrize(
    ("option", "environ", "client"),
    [
        (None, {}, ["tmux", "-u"]),
        ("mine", {"TMUX": TMUX, "BOTTLEMUX_TMUX_SOCKET": "other"}, ["tmux", "-u", "-L", "mine"]),
        (None, {"TMUX": TMUX, "BOTTLEMUX_TMUX_SOCKET": "other"}, ["tmux", "-u", "-L", "other"]),
        (None, {"TMUX": TMUX}, ["tmux", "-u", "-S", "/run/tmux-1000/de,fault"]),
        (None, {"TMUX": ""}, ["tmux", "-u"]),
    ],
    ids=["default", "option", "variable", "inside", "empty"],
)
def test_which_server(option: str | None, environ: dict[str, str], client: list[str]) -> None:
    assert TmuxServer.choose(option, environ).argv("x;") == [*client, "x\\;"]


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a\0b"])
def test_a_socket_name_is_no_path(name: str) -> None:
    with pytest.raises(UsageError, match="socket name"):
        TmuxServer(socket_name=name)


def test_socket_path_is_where_tmux_listens(server: TmuxServer) -> None:
    server.batch([["new-session", "-d", "--", *IDLE]], start=True)
    assert server.batch([["display-message", "-p", "#{socket_path}"]]) == [str(server.socket_path)]


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("3.2", "3.2a"),
        ("3.2a", "3.3"),
        ("3.3a", "3.10"),
        ("2.9", "3.2a"),
        ("3.6b", "next-3.7"),
        ("3.6", "master"),
    ],
)
def test_versions_are_ordered(older: str, newer: str) -> None:
    assert parse_version(older) < parse_version(newer)


def test_a_missing_tmux_names_the_command(tmp_path: Path) -> None:
    workspace = Workspace(TmuxServer("bottlemux-test-none", environ={"PATH": str(tmp_path)}))
    with pytest.raises(UnavailableError, match="not installed") as caught:
        workspace.open_window(spec())
    assert caught.value.hint == "install it with: sudo apt-get install tmux"


def fake_tmux(tmp_path: Path, script: str) -> Workspace:
    program = tmp_path / "tmux"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    return Workspace(TmuxServer("bottlemux-test-none", environ={"PATH": path}))


def test_an_old_tmux_is_refused(tmp_path: Path) -> None:
    script = 'case "$*" in *-V) echo tmux 3.1c;; *) echo "no server running on /x" >&2; exit 1;; esac'
    with pytest.raises(UnavailableError, match=r"tmux 3\.1c is too old: bottlemux needs 3\.2a"):
        fake_tmux(tmp_path, script).open_window(spec())


def test_a_hanging_tmux_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "CLIENT_TIMEOUT_S", 0.3)
    with pytest.raises(BottlemuxError, match=r"did not end within 0\.3 s"):
        fake_tmux(tmp_path, "exec sleep 20").list()


def test_control_characters_of_tmux_stay_out_of_errors(tmp_path: Path) -> None:
    with pytest.raises(TmuxError) as caught:
        fake_tmux(tmp_path, "printf '\\033[31mbad\\a' >&2; exit 1").list()
    assert caught.value.message == "tmux refused: ?[31mbad?"


def test_a_gone_server_is_told_from_other_failures(workspace: Workspace, server: TmuxServer) -> None:
    workspace.open_window(spec())
    with pytest.raises(TmuxError, match="can't find window: @99") as caught:
        server.batch([["display-message", "-p", "one"], ["select-window", "-t", "@99"]])
    assert not isinstance(caught.value, ServerGoneError)
    assert caught.value.output == ["one"]
    server.batch([["kill-server"]])
    until(lambda: not server.is_running())
    with pytest.raises(ServerGoneError, match="no tmux server answers"):
        server.batch([["list-windows"]])
    assert workspace.list() == []


def test_a_stale_socket_counts_as_no_server(server: TmuxServer, workspace: Workspace) -> None:
    server.socket_path.parent.mkdir(mode=0o700, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(server.socket_path))
    assert workspace.list() == []
    assert workspace.open_window(spec()).slug == "dev-00001"


def test_a_restarted_server_has_another_identity(server: TmuxServer) -> None:
    new_session = ["new-session", "-d", "--", *IDLE]
    assert server.identity() is None
    server.batch([new_session], start=True)
    first = server.identity()
    server.batch([["kill-server"]])
    until(lambda: not server.is_running())
    server.batch([new_session], start=True)
    second = server.identity()
    assert first is not None
    assert second is not None
    assert (first.pid, first.version) != (second.pid, "")
    assert first != second
    assert abs(second.started - time.time()) < 60


def test_no_secret_reaches_the_server_or_its_panes(
    environ: dict[str, str], make_server: Callable[[], TmuxServer]
) -> None:
    template = make_server()
    leaky = {
        **environ,
        "API_TOKEN": "canary-51a7",
        "SSH_AUTH_SOCK": "/canary-51a7",
        "TMUX": TMUX,
        "TMUX_PANE": "%5",
    }
    server = TmuxServer(template._name, environ=leaky)
    window = Workspace(server, environ=leaky).open_window(spec())
    identity = server.identity()
    assert identity is not None
    for pid in (identity.pid, *(pane.pid for pane in window.panes)):
        assert b"canary-51a7" not in Path(f"/proc/{pid}/environ").read_bytes()
    shown = server.batch([["show-environment", "-g"], ["show-environment", "-t", "=bottlemux:"]])
    assert not [line for line in shown if "canary" in line]


def test_the_client_of_libtmux_is_safe_in_a_c_locale_and_inside_tmux(server: TmuxServer) -> None:
    server.batch([["new-session", "-d", "-s", "größe", "--", *IDLE]], start=True)
    client = server.libtmux.tmux_bin
    assert client is not None
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TMUX": "/nonexistent,1,0"}
    listing = [client, "-S", str(server.socket_path), "list-sessions", "-F", "#{session_name}"]
    done = subprocess.run(listing, env=environ, capture_output=True, timeout=10)
    assert done.stdout.decode() == "größe\n"


def test_importing_the_layer_does_not_import_heavy_modules() -> None:
    script = (
        "import sys, bottlemux.session.workspace\n"
        "print([name for name in ('libtmux', 'pydantic', 'ruamel.yaml') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=30,
    )
    assert done.stdout == b"[]\n"
