"""The palette over a real ssh connection, as a terminal of a type that has little."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.git_gate.conftest import free_port, keygen, sshd_program

from .conftest import OWN, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bottlemux.lifecycle.context import Context

    from .conftest import Screen

pytestmark = pytest.mark.tmux


@pytest.fixture
def ssh(tmp_path: Path, context: Context) -> Iterator[list[str]]:
    """Return the command that opens the palette at the other end of an ssh connection."""
    program = sshd_program()
    host, identity, port = keygen(tmp_path / "host"), keygen(tmp_path / "identity"), free_port()
    (tmp_path / "authorized").write_text(identity.with_suffix(".pub").read_text())
    variables = [f"{name}={value}" for name, value in context.environ.items()]
    command = shlex.join(["env", *variables, *OWN, "palette", "--cwd", str(context.cwd)])
    (tmp_path / "forced").write_text(f"#!/bin/sh\nexec {command}\n")
    (tmp_path / "forced").chmod(0o755)
    (tmp_path / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nAuthorizedKeysFile {tmp_path}/authorized\n"
        f"ForceCommand {tmp_path}/forced\nPidFile none\nStrictModes no\nUsePAM no\nPrintMotd no\nPrintLastLog no\n"
        "PermitRootLogin prohibit-password\n"
    )
    with subprocess.Popen(
        [program, "-D", "-f", str(tmp_path / "config")], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        known = f"[127.0.0.1]:{port} {host.with_suffix('.pub').read_text()}"
        (tmp_path / "known").write_text(known)
        yield [
            "ssh", "-tt", "-F", "/dev/null", "-i", str(identity), "-p", str(port), "-o", "BatchMode=yes",
            "-o", f"UserKnownHostsFile={tmp_path}/known", "-o", "ConnectionAttempts=20", "127.0.0.1",
        ]  # fmt: skip
        server.terminate()


@pytest.mark.parametrize("term", ["screen", "xterm-256color", "vt100"])
def test_it_works_over_ssh(
    screen: Callable[..., Screen], context: Context, ssh: list[str], term: str
) -> None:
    one = screen((80, 24))
    one.run(ssh, cwd=context.cwd, TERM=term)
    one.shows("start demo")
    one.keys("Down")
    until(lambda: "> start demo" in one.text(), one.text)
    one.type("docto")
    one.shows("> doctor")
    one.tmux("resize-window", "-x", "120", "-y", "30")
    one.shows("│")
    one.keys("Escape")
    assert one.dead() == "0"
