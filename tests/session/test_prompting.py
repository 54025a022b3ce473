from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from bottlemux.errors import BottlemuxError, UsageError
from bottlemux.session import prompting
from bottlemux.session.models import PaneSpec
from bottlemux.session.prompting import plain_prompt
from tests.session.conftest import spec, until

if TYPE_CHECKING:
    from pathlib import Path

    from bottlemux.session.workspace import Workspace

pytestmark = pytest.mark.tmux

# An agent's input box: raw terminal, bracketed paste, and Enter dropped for a while after a paste.
AGENT = """
import os, sys, termios, time, tty
deaf_until, box = float(sys.argv[2]), b""
tty.setraw(0)
os.write(1, b"\\x1b[?2004hready\\r\\n")
deaf = None
while True:
    box += os.read(0, 65536)
    if deaf is None and b"\\x1b[201~" in box:
        deaf = time.monotonic() + deaf_until
        os.write(1, b"[pasted]")
    if deaf is not None and box.endswith(b"\\r"):
        if time.monotonic() < deaf:
            box = box[:-1]
            continue
        with open(sys.argv[1], "wb") as stream:
            stream.write(box)
        os.write(1, b"\\r\\ntaken\\r\\n")
        box, deaf = b"", None
"""


def start(workspace: Workspace, received: Path, deaf: float = 0.0) -> str:
    argv = (sys.executable, "-c", AGENT, str(received), str(deaf))
    window = workspace.open_window(spec(panes=(PaneSpec("agent", argv),)))
    until(lambda: "ready" in workspace.capture(window.panes[0].pane_id))
    return window.panes[0].pane_id


def pasted(text: str) -> bytes:
    return b"\x1b[200~" + text.replace("\n", "\r").encode() + b"\x1b[201~\r"


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "two\nlines\n\tindented",
        "a;",
        ";",
        "q'\"$(id)#{pid}`id`",
        "ünï→🙂",
        "-x",
        "x" * 100_000,
        "wörd 🙂\n" * 9000,
    ],
    ids=[
        "plain",
        "lines",
        "separator",
        "only-separator",
        "quotes",
        "unicode",
        "option",
        "100kB",
        "100kB-lines",
    ],
)
def test_a_prompt_arrives_whole_and_is_submitted(workspace: Workspace, tmp_path: Path, text: str) -> None:
    received = tmp_path / "received"
    pane_id = start(workspace, received)
    workspace.send_prompt(pane_id, text)
    until(received.exists)
    assert received.read_bytes() == pasted(text.rstrip("\n"))
    assert workspace.server.batch([["list-buffers"]]) == []


def test_an_enter_that_was_dropped_is_repeated(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompting, "SUBMIT_TIMEOUT_S", 0.5)
    received = tmp_path / "received"
    workspace.send_prompt(start(workspace, received, deaf=0.6), "hello")
    assert received.read_bytes() == pasted("hello")


def test_a_prompt_that_is_not_taken_is_an_error(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompting, "SUBMIT_TIMEOUT_S", 0.2)
    pane_id = start(workspace, tmp_path / "received", deaf=60)
    with pytest.raises(BottlemuxError, match="did not take the prompt"):
        workspace.send_prompt(pane_id, "hello")


def test_the_caller_says_when_it_was_taken(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompting, "SUBMIT_TIMEOUT_S", 0.2)
    pane_id = start(workspace, tmp_path / "received")
    with pytest.raises(BottlemuxError, match="did not take"):
        workspace.send_prompt(pane_id, "hello", submitted=lambda screen: "never" in screen)
    workspace.send_prompt(pane_id, "hello", submitted=lambda screen: "taken" in screen)


def test_an_escape_sequence_cannot_end_the_paste(workspace: Workspace, tmp_path: Path) -> None:
    received = tmp_path / "received"
    workspace.send_prompt(start(workspace, received), "a\x1b[201~\r\x03\x9b201~b")
    assert received.read_bytes() == pasted("a[201~201~b")


def test_an_empty_prompt_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="empty"):
        workspace.send_prompt(start(workspace, tmp_path / "received"), "\x1b\n")


def test_plain_prompt_keeps_text() -> None:
    assert plain_prompt("a\tb\r\nc\u00a0d\u200b\n\n") == "a\tb\nc\u00a0d\u200b"
