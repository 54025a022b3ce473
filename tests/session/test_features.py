"""What an older tmux lacks, and what its options keep from working."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from bottlemux.errors import UnavailableError
from bottlemux.session.features import advise, lacking, server_options
from bottlemux.session.server import MIN_VERSION, parse_version
from tests.session.conftest import spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.session.server import TmuxServer
    from bottlemux.session.workspace import Workspace


def _installed() -> str:
    done = subprocess.run(["tmux", "-V"], capture_output=True, text=True, check=False)
    return done.stdout.strip().removeprefix("tmux ")


@pytest.mark.parametrize(
    ("version", "count"), [("3.2a", 4), ("3.3a", 2), ("3.4", 1), ("3.5a", 0), ("3.8", 0), ("next-3.9", 0)]
)
def test_what_a_version_lacks(version: str, count: int) -> None:
    assert len(lacking(version)) == count


@pytest.mark.parametrize(
    ("options", "names", "lines"),
    [
        ({}, ["shift+enter"], 2),
        ({"extended-keys": "off", "terminal-features": "xterm*:extkeys:RGB"}, ["shift+enter"], 1),
        ({"extended-keys": "on"}, [], 0),
        ({"extended-keys": "always", "set-clipboard": "on"}, ["clipboard"], 1),
        ({"extended-keys": "on", "set-clipboard": "off"}, ["clipboard"], 1),
    ],
)
def test_advice(options: dict[str, str], names: list[str], lines: int) -> None:
    found = advise(options)
    assert ([each.name for each in found], sum(len(each.lines) for each in found)) == (names, lines)


@pytest.mark.tmux
@pytest.mark.skipif(parse_version(_installed()) < parse_version(MIN_VERSION), reason="is refused")
def test_advice_followed_is_given_no_more(
    workspace: Workspace, server: TmuxServer, configure: Callable[[str], None]
) -> None:
    assert server_options(server) is None
    configure(
        "set -s extended-keys on\nset -as terminal-features 'xterm*:extkeys'\nset -s set-clipboard external\n"
    )
    workspace.open_window(spec())
    options = server_options(server)
    assert options is not None
    assert "extkeys" in options["terminal-features"]
    assert advise(options) == []


@pytest.mark.tmux
@pytest.mark.skipif(parse_version(_installed()) >= parse_version(MIN_VERSION), reason="is new enough")
def test_an_older_one_is_refused(workspace: Workspace) -> None:
    with pytest.raises(
        UnavailableError, match=rf"tmux {_installed()} is too old: bottlemux needs {MIN_VERSION}"
    ):
        workspace.open_window(spec())
