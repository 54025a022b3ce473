"""Whatever an agent writes, the operator's terminal shows it and does not do it."""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING

import pytest

from bottlemux.approvals.showing import details, summary
from bottlemux.cli.main import main

if TYPE_CHECKING:
    from tests.approvals.support import World

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\u202c\r\nline two\ttab \x9b31m" + "x" * 900


@pytest.fixture
def cli(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("BOTTLEMUX_CONFIG_DIR", str(world.paths.config))
    monkeypatch.setenv("BOTTLEMUX_STATE_DIR", str(world.paths.state))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return world


def test_hostile_text_is_escaped_and_visibly_cut(world: World) -> None:
    proposal = world.propose(reason=HOSTILE)
    lines = [summary(proposal), *details(world.paths, proposal)]
    assert all(unicodedata.category(character)[0] != "C" for line in lines for character in line)
    assert "characters]" in summary(proposal)
    assert any("x" * 900 in line for line in lines), "show has the whole text"


def test_hostile_text_is_escaped_in_json(cli: World, capsys: pytest.CaptureFixture[str]) -> None:
    cli.propose(reason=HOSTILE)
    assert main(["approvals", "list", "--json"]) == 0
    printed = capsys.readouterr().out
    assert all(unicodedata.category(character)[0] != "C" for character in printed.replace("\n", ""))
    assert json.loads(printed)[0]["reason"] == HOSTILE


def test_the_change_is_shown_as_a_diff(world: World) -> None:
    text = "\n".join(details(world.paths, world.propose()))
    assert '+{"host": "new.example.com", "port": 443, "scheme": "https"}' in text
    assert ' {"host": "files.example.com"' in text


def test_list_has_five_columns(cli: World, capsys: pytest.CaptureFixture[str]) -> None:
    proposal = cli.propose(reason=HOSTILE)
    assert main(["approvals", "list"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    columns = line.split("\t")
    assert columns[:3] == [proposal.id, cli.slug, "egress"]
    assert "new.example.com" in columns[4]
    assert len(columns) == 5


def test_the_command_decides_once(cli: World, capsys: pytest.CaptureFixture[str]) -> None:
    proposal = cli.propose()
    assert main(["approvals", "show", proposal.id]) == 0
    assert main(["approvals", "approve", proposal.id]) == 0
    assert main(["approvals", "approve", proposal.id]) == 1
    assert main(["approvals", "reject", proposal.id]) == 1
    assert main(["approvals", "list"]) == 0
    assert main(["approvals", "reject", "ffffffffffff"]) == 4
    assert main(["approvals", "approve"]) == 2
    assert "Traceback" not in capsys.readouterr().err
