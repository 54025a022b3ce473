"""Whatever the key did before, and however it is written: after an uninstall nothing of the server differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bottlemux.errors import BottlemuxError, UsageError
from bottlemux.session.keys import (
    TABLE,
    Binding,
    Installed,
    changes,
    install,
    is_there,
    table_lines,
    uninstall,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.session.server import TmuxServer

pytestmark = pytest.mark.tmux

_BINDINGS = [
    Binding(
        "p",
        "a 'note' \"of\" #{pane_title} \u00e9;",
        ("display-popup", "-E", "--", "echo", "a;", "$HOME", "~", "#{x}"),
    ),
    Binding("?", "other", ("run-shell", "-b", "true 'x' ; true")),
]
_LISTINGS = (
    ("list-keys",), ("list-keys", "-N"), ("list-keys", "-a", "-N"), ("show-options", "-s"), ("show-options", "-g"),
    ("show-options", "-g", "-w"), ("show-hooks", "-g"), ("show-environment", "-g"), ("list-panes", "-a"),
)  # fmt: skip

_BEFORE = {
    "unbound": (),
    "plain": ("b", "next-window"),
    "note": ("-N", "my 'own' \"note\" #{x} \u00e9  two", "b", "next-window"),
    "note with blanks": ("-N", " lead trail ", "b", "next-window"),
    "repeated": ("-r", "b", "resize-pane", "-L", "5"),
    "several": ("b", "display-message", "a; b", ";", "next-window"),
    "string": (
        "-N",
        "n",
        "b",
        "display-message 'a ; b' ; if -F 1 { display-message \"x'y\" } { next-window }",
    ),
    "semicolon at the end": ("-N", "n", "b", "display-message 'a;'"),
    "dollar and semicolon at the end": ("-N", "n", "b", "display-message '\\$HOME a;'"),
    "shell": ("b", "run-shell", "echo $HOME ~ '#{pane_id}' \\ \"x\" {y}"),
}


def state(server: TmuxServer) -> list[list[str]]:
    return [server.batch([listing]) for listing in _LISTINGS]


@pytest.fixture(autouse=True)
def running(server: TmuxServer) -> None:
    server.batch([["new-session", "-d", "--", "sleep", "1000"]], start=True)


@pytest.mark.parametrize("words", _BEFORE.values(), ids=_BEFORE)
@pytest.mark.parametrize("table", ["prefix", "root"])
def test_install_and_uninstall_leave_no_trace(server: TmuxServer, words: tuple[str, ...], table: str) -> None:
    if words:
        server.batch([["bind-key", "-T", table, *words]])
    before = state(server)
    installed = install(server, _BINDINGS, table=table, key="b")
    assert state(server) != before
    assert changes(server, Installed.from_json(installed.to_json())) == []
    uninstall(server, installed)
    assert state(server) == before


@pytest.mark.parametrize(
    "key", ["%", '"', "\u0027", ";", "#", "{", "~", "$", "\\", "C-a", "M-1", "F2", "Up", "d", "?"]
)
def test_any_key(server: TmuxServer, key: str) -> None:
    before = state(server)
    installed = install(server, _BINDINGS, table="prefix", key=key)
    assert state(server) != before
    uninstall(server, installed)
    assert state(server) == before


@pytest.mark.parametrize("key", ["", "-n", "nokey", "b\n", "x" * 20])
def test_a_bad_key_changes_nothing(server: TmuxServer, key: str) -> None:
    before = state(server)
    with pytest.raises((UsageError, BottlemuxError)):
        install(server, _BINDINGS, table="prefix", key=key)
    assert state(server) == before


def test_a_binding_is_what_it_was_given_as(server: TmuxServer) -> None:
    install(
        server,
        [Binding("p", "n", ("set-option", "-g", "@got", "a; $HOME ~ #{x} 'q' \"d\" \\ {;"))],
        table="root",
        key="b",
    )
    server.batch([["if-shell", "-F", "1", _command_of(server)]])
    assert server.batch([["show-options", "-gv", "@got"]]) == ["a; $HOME ~ #{x} 'q' \"d\" \\ {;"]


def _command_of(server: TmuxServer) -> str:
    (line,) = table_lines(server)
    return line.split(" p ", 1)[1]


@pytest.mark.parametrize(
    ("command", "reported"),
    [
        (["bind-key", "-T", "prefix", "b", "next-window"], "b is now"),
        (["bind-key", "-N", "mine", "-T", "prefix", "b", "switch-client", "-T", TABLE], "b is now"),
        (["unbind-key", "-T", "prefix", "b"], "not bound"),
        (["bind-key", "-T", TABLE, "z", "next-window"], "table"),
        (["unbind-key", "-T", TABLE, "p"], "table"),
    ],
    ids=["bound", "note", "unbound", "added", "removed"],
)
def test_changes_of_the_users_are_seen(server: TmuxServer, command: list[str], reported: str) -> None:
    installed = install(server, _BINDINGS, table="prefix", key="b")
    server.batch([command])
    assert reported in " ".join(changes(server, installed))


def test_a_key_the_user_changed_can_be_left(server: TmuxServer) -> None:
    installed = install(server, _BINDINGS, table="prefix", key="b")
    server.batch([["bind-key", "-T", "prefix", "b", "next-window"]])
    now = server.batch([["list-keys", "-T", "prefix"]])
    uninstall(server, installed, keep_key=True)
    assert server.batch([["list-keys", "-T", "prefix"]]) == now
    with pytest.raises(BottlemuxError, match="doesn't exist"):
        server.batch([["list-keys", "-T", TABLE]])


def test_a_table_of_somebody_elses_is_left_alone(server: TmuxServer) -> None:
    server.batch([["bind-key", "-T", TABLE, "z", "next-window"]])
    before = state(server)
    with pytest.raises(BottlemuxError, match="did not make"):
        install(server, _BINDINGS, table="prefix", key="b")
    assert state(server) == before


def test_another_server_on_the_same_socket_is_another(
    server: TmuxServer, make_server: Callable[[], TmuxServer]
) -> None:
    installed = install(server, _BINDINGS, table="prefix", key="b")
    other = make_server()
    other.batch([["new-session", "-d", "--", "sleep", "1000"]], start=True)
    assert is_there(server, installed)
    assert not is_there(other, installed)
