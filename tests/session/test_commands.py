"""Quoting is exact: proven against a real tmux, whose panes' argument lists are read back from the kernel."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bottlemux.errors import UsageError
from bottlemux.session.commands import (
    MAX_REQUEST_BYTES,
    as_process,
    fits_one_request,
    to_arguments,
    to_source,
)
from tests.session.conftest import IDLE, spec, until

if TYPE_CHECKING:
    from bottlemux.session.server import TmuxServer
    from bottlemux.session.workspace import Workspace

pytestmark = pytest.mark.tmux

SPECIAL = ";\\'\"#{}()[]$~%`&|<>*?!,:=- \t\n\réü→🙂a0"
WORDS = st.text(
    st.one_of(st.sampled_from(SPECIAL), st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    max_size=12,
)
REAL_TMUX = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def respawn(words: list[str]) -> list[list[str]]:
    return [["respawn-pane", "-k", "-t", "%1", "--", *IDLE, *words]]


def arrived(server: TmuxServer, words: list[str]) -> bool:
    pid = server.batch([["display-message", "-p", "-t", "%1", "#{pane_pid}"]])[0]
    with contextlib.suppress(OSError):
        raw = Path("/proc", pid, "cmdline").read_bytes()
        return raw.decode().split("\0")[:-1] == [*IDLE, *words]
    return False


@given(words=st.lists(WORDS, min_size=1, max_size=20))
@REAL_TMUX
def test_arguments_arrive_as_they_are(workspace: Workspace, server: TmuxServer, words: list[str]) -> None:
    if not workspace.list():
        workspace.open_window(spec())
    server._run(to_arguments(respawn(words)))
    until(lambda: arrived(server, words), f"{words!r} by argument list")


@given(words=st.lists(WORDS, min_size=1, max_size=20))
@REAL_TMUX
def test_source_text_arrives_as_it_is(workspace: Workspace, server: TmuxServer, words: list[str]) -> None:
    if not workspace.list():
        workspace.open_window(spec())
    server._run(["source-file", "-"], stdin=to_source(respawn(words)))
    until(lambda: arrived(server, words), f"{words!r} by source text")


@pytest.mark.parametrize("by_source", [False, True], ids=["arguments", "source"])
@pytest.mark.parametrize(
    "value",
    [
        "fix;",
        ";",
        "\\;",
        "a\\",
        "x';",
        "fix; set -g @pwned yes",
        "~",
        "$HOME",
        "%if",
        "{",
        "a'b",
        "x  # y",
        "a\\nb",
    ],
)
def test_a_value_never_becomes_a_command(
    workspace: Workspace, server: TmuxServer, value: str, by_source: bool
) -> None:
    workspace.open_window(spec())
    commands = [
        ["set-option", "-p", "-t", "%1", "@y", value],
        ["set-option", "-p", "-t", "%1", "@z", "after"],
    ]
    words, stdin = (
        (["source-file", "-"], to_source(commands)) if by_source else (to_arguments(commands), None)
    )
    server._run(words, stdin=stdin)
    (shown,) = server.batch([["display-message", "-p", "-t", "%1", "#{@y}|#{@z}|#{@pwned}"]])
    # tmux 3.4 prints a backslash before a dollar sign.
    assert shown in {f"{value}|after|", f"{value}|after|".replace("$", "\\$")}


@pytest.mark.parametrize("text", ["a\n  # comment\n\tb", "\n\n  x", "it's\n'quoted'\n", "#\n#{\n#("])
def test_scripts_of_several_lines_keep_their_blanks_and_comments(
    workspace: Workspace, server: TmuxServer, text: str
) -> None:
    workspace.open_window(spec())
    for words, stdin in (
        (to_arguments(respawn([text])), None),
        (["source-file", "-"], to_source(respawn([text]))),
    ):
        server._run(words, stdin=stdin)
        until(lambda: arrived(server, [text]), repr(text))


def test_a_failing_command_stops_the_rest_both_ways(workspace: Workspace, server: TmuxServer) -> None:
    workspace.open_window(spec())
    commands = [["kill-pane", "-t", "%99"], ["set-option", "-p", "-t", "%1", "@z", "after"]]
    for words, stdin in ((to_arguments(commands), None), (["source-file", "-"], to_source(commands))):
        with pytest.raises(Exception, match="can't find pane"):
            server._run(words, stdin=stdin)
    assert server.batch([["display-message", "-p", "-t", "%1", "#{@z}"]]) == [""]


def test_a_request_over_the_client_limit_goes_through(workspace: Workspace, server: TmuxServer) -> None:
    workspace.open_window(spec())
    words = ["x" * 200] * 500
    assert not fits_one_request(words)
    server.batch(respawn(words))
    until(lambda: arrived(server, words))


def test_the_limit_leaves_room_for_framing(workspace: Workspace, server: TmuxServer) -> None:
    workspace.open_window(spec())
    server._run(to_arguments([["display-message", "-p", "y" * (MAX_REQUEST_BYTES - 100)]]))


def test_a_single_word_is_not_given_to_a_shell(workspace: Workspace, tmp_path: Path) -> None:
    program = tmp_path / "a program; touch pwned $(touch pwned)"
    program.write_text("#!/bin/sh\necho ran: $0\nread x\n")
    program.chmod(0o755)
    window = workspace.open_window(spec())
    workspace.respawn(window.panes[0].pane_id, [str(program)])
    until(lambda: "ran:" in workspace.capture(window.panes[0].pane_id))


@pytest.mark.parametrize("argv", [[], [""]])
def test_a_pane_needs_a_program(argv: list[str]) -> None:
    with pytest.raises(UsageError, match="program"):
        as_process(argv)


@pytest.mark.parametrize("quote", [to_arguments, to_source])
def test_nul_is_refused(quote: object) -> None:
    with pytest.raises(UsageError, match="NUL"):
        quote([["set", "a\0b"]])  # type: ignore[operator]
