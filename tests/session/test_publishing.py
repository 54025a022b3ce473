"""What clients are told and what screens are read: with real clients, and text that means no good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bottlemux.lifecycle.context import Context
from bottlemux.lifecycle.notices import Notice, Notifier
from bottlemux.paths import Paths
from bottlemux.session.models import PaneSpec
from bottlemux.session.publishing import LIST_CLIENTS_COMMAND, parse_clients, show_message
from bottlemux.session.screens import read_screens
from sidecars.supervise.proposal import Proposal
from sidecars.supervise.store import ProposalStore
from tests.session.conftest import Terminal, spec, until
from tests.status.test_watching import row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bottlemux.session.server import TmuxServer
    from bottlemux.session.workspace import Workspace

    type MakeTerminal = Callable[..., Terminal]

pytestmark = pytest.mark.tmux


def printing(text: str) -> tuple[PaneSpec, ...]:
    return (PaneSpec("agent", ("sh", "-c", 'printf "%s\n" "$0"; read x', text)),)


def test_screens_are_told_apart(workspace: Workspace) -> None:
    one, two = workspace.open_windows([
        spec("one-11111", panes=printing("first")),
        spec("two-22222", panes=printing("screen 0123 %0\n-- \n#{pid}")),
    ])  # fmt: skip
    ids = [one.panes[0].pane_id, two.panes[0].pane_id]
    until(
        lambda: all(
            text in workspace.capture(one) for text, one in zip(("first", "#{pid}"), ids, strict=True)
        )
    )
    screens = read_screens(workspace.server, ids)
    assert screens[ids[0]].strip() == "first"
    assert screens[ids[1]].strip() == "screen 0123 %0\n--\n#{pid}"


def test_a_message_runs_nothing(
    workspace: Workspace, server: TmuxServer, terminal: MakeTerminal, tmp_path: Path
) -> None:
    workspace.open_window(spec())
    screen = terminal(workspace.attach_argv())
    until(lambda: parse_clients(server.batch([LIST_CLIENTS_COMMAND])))
    (client,) = parse_clients(server.batch([LIST_CLIENTS_COMMAND]))
    show_message(server, client.name, f"-a #(touch {tmp_path}/pwned) #{{pid}} \x1b[2J;", 4.0)
    screen.shows("#{pid}")
    assert not (tmp_path / "pwned").exists()


def notifier(environ: dict[str, str], server: TmuxServer, tmp_path: Path, settings: str) -> Notifier:
    config = tmp_path / "config"
    config.mkdir()
    (config / "config.toml").write_text(settings)
    own = {**environ, "BOTTLEMUX_CONFIG_DIR": str(config), "BOTTLEMUX_STATE_DIR": str(tmp_path / "state")}
    return Notifier(Context(Paths.from_environ(own), own, tmp_path, server.socket_path.name))


def test_who_looks_elsewhere_is_told(
    workspace: Workspace, server: TmuxServer, terminal: MakeTerminal, environ: dict[str, str], tmp_path: Path
) -> None:
    workspace.open_windows([spec("one-11111"), spec("two-22222")])
    elsewhere = terminal(workspace.attach_argv("two-22222"))
    until(lambda: parse_clients(server.batch([LIST_CLIENTS_COMMAND])))
    told = notifier(environ, server, tmp_path, '[notices]\ndesktop = "osc9"\nbell = true\n')
    told.show([Notice("two-22222", "two-22222 waiting: what it looks at")])
    told.show([Notice("one-11111", "one-11111 waiting: asks a question")])
    elsewhere.shows("one-11111 waiting: asks a question")
    until(lambda: b"\x1b]9;one-11111 waiting: asks a question\a\a" in elsewhere.read(0.02))
    assert b"what it looks at" not in elsewhere.output


def test_nothing_surprising_is_on_by_itself(
    workspace: Workspace, server: TmuxServer, terminal: MakeTerminal, environ: dict[str, str], tmp_path: Path
) -> None:
    workspace.open_windows([spec("one-11111"), spec("two-22222")])
    elsewhere = terminal(workspace.attach_argv("two-22222"))
    until(lambda: parse_clients(server.batch([LIST_CLIENTS_COMMAND])))
    notifier(environ, server, tmp_path, "").show([Notice("one-11111", "one-11111 waiting: asks")])
    elsewhere.shows("one-11111 waiting: asks")
    assert b"\x1b]9;" not in elsewhere.output
    assert b"\x1b]777;" not in elsewhere.output


def test_a_new_proposal_is_told_with_what_it_asks_for(
    workspace: Workspace, server: TmuxServer, terminal: MakeTerminal, environ: dict[str, str], tmp_path: Path
) -> None:
    workspace.open_windows([spec("one-11111"), spec("two-22222")])
    elsewhere = terminal(workspace.attach_argv("two-22222"))
    until(lambda: parse_clients(server.batch([LIST_CLIENTS_COMMAND])))
    told = notifier(environ, server, tmp_path, "")
    directory = tmp_path / "state" / "bottles" / "one-11111" / "proposals"
    directory.mkdir(parents=True)
    request = {"host": "new.example.com\x1b[2J", "port": 443, "scheme": "https"}
    ProposalStore(directory, "one-11111").save(Proposal("one-11111", "egress", request, "why"))
    told.tell([row("one-11111", "working")])
    told.tell([row("one-11111", "working", asks=1)])
    elsewhere.shows("one-11111 asks for any method https://new.example.com\\x1b[2J:443 any path")
