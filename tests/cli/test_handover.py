"""A command given to a fork of the warm process, and what must not become of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottlemux.cli import handover
from bottlemux.preload import PRELOADED
from sidecars.zygote_names import socket_path

if TYPE_CHECKING:
    from pathlib import Path

FOREIGN = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
os.setuid(65534)
listener.listen()
print("ready", flush=True)
print(listener.accept()[0].recv(1), flush=True)
"""


@given(st.text(st.characters(codec=None) if sys.version_info >= (3, 14) else st.characters()))
def test_every_text_is_quoted_as_json(text: str) -> None:
    assert json.loads(handover._quoted(text)) == text


def test_what_is_no_utf_8_arrives_as_it_was() -> None:
    text = os.fsdecode(b"caf\xe9 \xff\x00"[:-1])
    assert json.loads(handover._quoted(text).encode()) == text


def test_without_the_process_nothing_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert handover.hand_over(["palette"]) is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_process_of_another_user_is_told_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "bottlemux").mkdir()
    path = socket_path(tmp_path / "bottlemux", PRELOADED)
    command = [sys.executable, "-c", FOREIGN, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as foreign:
        try:
            assert foreign.stdout is not None
            assert foreign.stdout.readline() == b"ready\n"
            assert handover.hand_over(["palette"]) is None
            assert foreign.stdout.readline() == b"b''\n"
        finally:
            foreign.kill()


def test_a_command_that_has_ended_already_is_not_run_again() -> None:
    """A quick one is done, and its end of the connection closed, before the client's next instruction."""
    here, there = socket.socketpair()

    class Slow(socket.socket):
        def sendmsg(self, *message: Any) -> int:
            sent = super().sendmsg(*message)
            there.recv(1 << 16)
            there.close()
            return sent

    with Slow(fileno=here.detach()) as connection:
        handover._send(connection, b"{}")
