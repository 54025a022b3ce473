"""A private tmux server a test, with an empty home, and terminals to attach to it."""

from __future__ import annotations

import fcntl
import os
import pty
import secrets
import select
import signal
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

import pytest

from bottlemux.session.models import PaneSpec, WindowSpec
from bottlemux.session.server import TmuxServer
from bottlemux.session.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

IDLE = ("sh", "-c", "read x", "idle")
DEADLINE_S = 60.0


def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Poll until ``condition`` holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true"
        time.sleep(0.02)


def spec(slug: str = "dev-00001", **changes: object) -> WindowSpec:
    values: dict[str, object] = {
        "slug": slug,
        "agent": "dev",
        "backend": "bubblewrap",
        "panes": (PaneSpec("agent", IDLE), PaneSpec("shell", IDLE), PaneSpec("audit", IDLE)),
    }
    return WindowSpec(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    # A real terminal type: without one, clients refuse to attach.
    return {"HOME": str(home), "SHELL": "/bin/sh", "PATH": os.environ["PATH"], "TERM": "xterm-256color"}


@pytest.fixture
def make_server(environ: dict[str, str]) -> Iterator[Callable[[], TmuxServer]]:
    made: list[TmuxServer] = []

    def make() -> TmuxServer:
        made.append(TmuxServer(socket_name=f"bottlemux-test-{secrets.token_hex(4)}", environ=environ))
        return made[-1]

    yield make
    for server in made:
        subprocess.run(server.argv("kill-server"), capture_output=True, timeout=10)
        server.socket_path.unlink(missing_ok=True)


@pytest.fixture
def server(make_server: Callable[[], TmuxServer]) -> TmuxServer:
    return make_server()


@pytest.fixture
def workspace(server: TmuxServer, environ: dict[str, str]) -> Workspace:
    return Workspace(server, environ=environ)


@pytest.fixture
def configure(environ: dict[str, str], tmp_path: Path) -> Callable[[str], None]:
    """Write the user's tmux configuration, read by a server that starts after it."""
    return lambda text: (tmp_path / "home" / ".tmux.conf").write_text(text) and None


class Terminal:
    """A program on a terminal of its own, its output kept."""

    def __init__(self, argv: list[str], environ: dict[str, str], size: tuple[int, int]) -> None:
        self.output = b""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                os.execvpe(argv[0], argv, environ)
            finally:
                os._exit(127)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def read(self, seconds: float = 0.0) -> bytes:
        while select.select([self.master], [], [], seconds)[0]:
            try:
                self.output += os.read(self.master, 65536)
            except OSError:
                break
        return self.output

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def shows(self, text: str) -> None:
        until(lambda: text.encode() in self.read(0.02), f"{text!r} on the terminal")

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.master)


@pytest.fixture
def terminal(environ: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def make(argv: list[str], size: tuple[int, int] = (120, 40), **extra: str) -> Terminal:
        made.append(Terminal(argv, {**environ, **extra}, size))
        return made[-1]

    yield make
    for one in made:
        one.close()
