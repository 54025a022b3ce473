"""A program of a bottle on a real terminal: keys, size, signals, job control and the end of either side."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from .world import DEADLINE_S, processes, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.contract import Bottle

    from .world import World


class Terminal:
    """A command on a pseudo terminal of its own, as a pane runs it."""

    def __init__(self, argv: Sequence[str], rows: int = 30, columns: int = 100) -> None:
        self.shown = b""
        ready, go = os.pipe()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.close(go)
            os.read(ready, 1)
            os.execvpe(argv[0], list(argv), {"PATH": os.environ["PATH"], "TERM": "xterm", "HOME": "/"})
        self.resize(rows, columns)
        os.close(ready)
        os.close(go)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def keys(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def expect(self, text: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while text.encode() not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self.fd, 65536)
                except OSError:
                    break
        before, found, self.shown = self.shown.partition(text.encode())
        assert found, before

    def exit_code(self) -> int:
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if select.select([self.fd], [], [], 0.02)[0]:
                    self.shown += os.read(self.fd, 65536)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(f"it did not end: {self.shown!r}")


def _name_of(master: int) -> str:
    number = struct.unpack("i", fcntl.ioctl(master, 0x80045430, b"\0" * 4))[0]  # TIOCGPTN
    return f"/dev/pts/{number}"


@pytest.fixture
def bottle(world: World) -> Bottle:
    return world.launch()


def test_the_size_is_right_from_the_first_frame(bottle: Bottle) -> None:
    with Terminal(bottle.claude_argv(["stty", "size"])) as terminal:
        terminal.expect("30 100")
        assert terminal.exit_code() == 0


def test_a_resize_arrives(bottle: Bottle) -> None:
    script = 'trap "stty size" WINCH; echo ready; while :; do sleep 0.05; done'
    with Terminal(bottle.claude_argv(["bash", "-c", script])) as terminal:
        terminal.expect("ready")
        terminal.resize(41, 77)
        terminal.expect("41 77")


def test_control_c_reaches_the_program_only(bottle: Bottle) -> None:
    with Terminal(
        bottle.claude_argv(
            ["bash", "-c", 'trap "echo caught; exit 9" INT; echo ready; while :; do sleep 0.05; done']
        )
    ) as it:
        it.expect("ready")
        it.keys("\x03")
        it.expect("caught")
        assert it.exit_code() == 9


def test_job_control_works(bottle: Bottle) -> None:
    script = "trap 'echo $((50+2))' CONT; echo $((40+2)); while :; do sleep 0.05; done"
    with Terminal(bottle.claude_argv(["bash", "--norc", "-i"])) as terminal:
        terminal.expect("$ ")
        terminal.keys(f'bash -c "{script.replace("$", chr(92) + "$")}"\n')
        terminal.expect("42\r\n")
        terminal.keys("\x1a")
        terminal.expect("Stopped")
        terminal.keys("fg\n")
        terminal.expect("52\r\n")
        terminal.keys("\x03")
        terminal.expect("$ ")
        terminal.keys("exit 5\n")
        assert terminal.exit_code() == 5


def test_keys_typed_ahead_arrive(world: World, bottle: Bottle) -> None:
    if world.backend_name == "smolmachines":
        pytest.skip("smolvm loses what is typed before the program is there")
    with Terminal(bottle.claude_argv(["bash", "--norc", "-i"])) as terminal:
        terminal.keys("echo $((40+2)); exit 5\n")
        terminal.expect("42\r\n")
        assert terminal.exit_code() == 5


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -TERM $$", 143)], ids=["code", "signal"])
def test_the_exit_code_passes(bottle: Bottle, script: str, code: int) -> None:
    with Terminal(bottle.claude_argv(["sh", "-c", script])) as terminal:
        assert terminal.exit_code() == code


def test_the_last_output_is_shown(bottle: Bottle) -> None:
    with Terminal(bottle.claude_argv(["sh", "-c", "seq 20000; echo the end"])) as terminal:
        terminal.expect("the end")
        assert terminal.exit_code() == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM], ids=lambda one: one.name)
def test_the_program_ends_with_its_pane(bottle: Bottle, number: signal.Signals) -> None:
    script = "trap '' HUP; echo re''ady; exec -a sentinel-of-a-pane sleep 1000"
    with Terminal(bottle.claude_argv(["bash", "-c", script])) as terminal:
        terminal.expect("ready")
        os.kill(terminal.pid, number)
        terminal.exit_code()
    until(
        lambda: (
            "sentinel"
            not in bottle.exec("cat /proc/[0-9]*/cmdline | tr -d '\\0'").stdout.replace("of-a-pane'", "")
        ),
        "the program ended",
    )


def test_the_pane_ends_with_the_bottle(bottle: Bottle) -> None:
    with Terminal(bottle.claude_argv(["sh", "-c", "echo ready; sleep 1000"])) as terminal:
        terminal.expect("ready")
        bottle.close()
        assert terminal.exit_code() != 0
        assert b"Traceback" not in terminal.shown


def test_a_terminal_of_the_host_never_enters(bottle: Bottle) -> None:
    with Terminal(
        bottle.claude_argv(["sh", "-c", "stat -L -c %d.%i /proc/self/fd/0; sleep 1000"])
    ) as terminal:
        theirs = Path(_name_of(terminal.fd)).stat()
        terminal.expect(".")
        terminal.expect("\r\n")
        assert f"{theirs.st_dev}.{theirs.st_ino}".encode() not in terminal.shown


def test_the_argv_names_no_process_environment(bottle: Bottle) -> None:
    with Terminal(bottle.claude_argv(["sh", "-c", "echo ready; sleep 1000"])) as terminal:
        terminal.expect("ready")
        assert terminal.pid in processes(bottle.identity)
