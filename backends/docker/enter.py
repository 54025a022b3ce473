"""Run a program in a running Docker bottle and pass its streams, signals, window size and exit code through.

Started as a pane's process, it talks to the relay in the bottle through the engine's own client, so it works the
same with an engine that is reached over ssh. Standard library only, so that a pane starts fast.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import tty
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backends.docker import frames
from backends.docker.endpoint import client_argv, client_environ
from backends.terminal import take_mark, terminal_environ

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from backends.terminal import OutputMark

PYTHON = ("/run/bottlemux/lib/python3", "-E", "-s", "-S", "-B")
RELAY = (*PYTHON, "/run/bottlemux/lib/relay.py")
_CHUNK = 65536
_GONE = 125
_SIGNALLED = 128
_CLIENT_TIMEOUT_S = 5.0
# Not SIGHUP: it says that our terminal is gone. We end by it, and the relay then hangs up on the program.
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


class EnterError(Exception):
    """The bottle cannot be entered, or went away; the text is for a person."""


@dataclass(frozen=True)
class Command:
    """What to run: in which engine's container, as whom. ``environ`` is added to the bottle's; it holds no secret.

    ``mark`` is told of the output in a terminal.
    """

    engine: str
    container: str
    argv: tuple[str, ...]
    user: str = ""
    cwd: str = "/workspace"
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    terminal: bool = False
    mark: OutputMark | None = None

    def client(self) -> list[str]:
        """Return the engine's client that starts the relay."""
        user = ["--user", self.user] if self.user else []
        return client_argv(self.engine, "exec", "--interactive", *user, self.container, *RELAY)


class _Session:
    """Copies between three descriptors of ours and the relay; at most ``limit`` bytes to each."""

    def __init__(self, command: Command, streams: tuple[int, int, int], limit: int = sys.maxsize) -> None:
        self._command = command
        self._stdin, *outputs = streams
        self._outputs = dict(zip((frames.OUTPUT, frames.ERRORS), outputs, strict=True))
        self._left: dict[bytes, int] = dict.fromkeys(self._outputs, limit)
        self._reader = frames.Reader()
        self._pending = bytearray()
        self._window = frames.WINDOW
        self._reads_input = True
        self.started = False

    def run(self) -> int:
        with tempfile.TemporaryFile() as complaints:
            try:
                client = subprocess.Popen(
                    self._command.client(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints,
                    env=client_environ(), start_new_session=True,
                )  # fmt: skip
            except FileNotFoundError as error:
                raise EnterError("the docker command is not installed") from error
            try:
                code = self._copy(client)
                if code is None:
                    code = _code_of_killed(client)
            finally:
                client.kill()
                client.wait()
            if code is None:
                complaints.seek(0)
                raise EnterError(_last_line(complaints.read()) or "the bottle ended")
            return code

    def _copy(self, client: subprocess.Popen[bytes]) -> int | None:
        if client.stdin is None or client.stdout is None:
            raise EnterError("no pipes")
        self._to, self._from = client.stdin.fileno(), client.stdout.fileno()
        os.set_blocking(self._to, False)
        self._pending += frames.frame(frames.START, json.dumps(self._order()).encode())
        with _signals() as wakeup:
            while True:
                reading = [self._from, wakeup]
                if self._reads_input and self._window > 0 and not self._pending:
                    reading.append(self._stdin)
                ready, writable, _ = select.select(reading, [self._to] if self._pending else [], [])
                if wakeup in ready:
                    self._pass_signals(os.read(wakeup, 4096))
                if self._stdin in ready:
                    self._read_input()
                if writable and not self._flush():
                    return None
                if self._from in ready:
                    data = os.read(self._from, _CHUNK)
                    try:
                        code = self._hear(data)
                    except (ValueError, IndexError, struct.error) as error:
                        raise EnterError("the bottle's relay speaks nonsense") from error
                    if code is not None or not data:
                        return code

    def _order(self) -> dict[str, object]:
        command = self._command
        size = _window_size(self._stdin) if command.terminal else None
        return {"argv": command.argv, "cwd": command.cwd, "environ": dict(command.environ), "size": size}

    def _read_input(self) -> None:
        try:
            data = os.read(self._stdin, min(_CHUNK, self._window))
        except OSError:
            data = b""
        if data:
            self._window -= len(data)
            self._pending += frames.frame(frames.INPUT, data)
        else:
            self._reads_input = False
            self._pending += frames.frame(frames.INPUT_END)

    def _flush(self) -> bool:
        try:
            del self._pending[: os.write(self._to, self._pending)]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def _hear(self, data: bytes) -> int | None:
        for kind, payload in self._reader.feed(data):
            if kind == frames.EXIT:
                return payload[0]
            if kind == frames.TAKEN:
                self._window += struct.unpack("!I", payload)[0]
            elif kind in self._outputs:
                self._print(kind, payload)
        return None

    def _print(self, kind: bytes, payload: bytes) -> None:
        self._left[kind] -= len(payload)
        if self._left[kind] < 0:
            raise EnterError("the program prints too much")
        if self._command.mark is not None:
            self._command.mark.shown()
        view = memoryview(payload)
        while view and kind in self._outputs:
            try:
                view = view[os.write(self._outputs[kind], view) :]
            except BlockingIOError:
                select.select([], [self._outputs[kind]], [])
            except OSError:
                del self._outputs[kind]

    def _pass_signals(self, numbers: bytes) -> None:
        for number in numbers:
            if number != signal.SIGWINCH:
                self._pending += frames.frame(frames.SIGNAL, bytes([number]))
            elif self._command.terminal:
                if self._command.mark is not None:
                    self._command.mark.resized()
                rows, columns = _window_size(self._stdin)
                self._pending += frames.frame(frames.RESIZE, struct.pack("!HH", rows, columns))


def run(command: Command) -> int:
    """Run ``command`` with this process's standard streams; return its exit code (128 + n for signal n)."""
    with _raw_terminal() if command.terminal else contextlib.nullcontext():
        return _Session(command, (0, 1, 2)).run()


def capture(command: Command, stdin: bytes, limit: int) -> tuple[int, bytes, bytes]:
    """Run ``command`` with ``stdin`` and return exit code, standard output and standard error.

    More than ``limit`` bytes in one of them is an :class:`EnterError`.
    """
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        given.write(stdin)
        given.flush()
        given.seek(0)
        code = _Session(command, (given.fileno(), output.fileno(), errors.fileno()), limit).run()
        output.seek(0)
        errors.seek(0)
        return code, output.read(), errors.read()


@contextlib.contextmanager
def _signals() -> Generator[int]:
    """Yield a descriptor from which the numbers of arriving signals are read. Only a main thread gets signals."""
    import threading

    read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if threading.current_thread() is not threading.main_thread():
            yield read_end
            return
        numbers = (*_FORWARDED, signal.SIGWINCH)
        before = {number: signal.signal(number, _ignore) for number in numbers}
        old = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        try:
            yield read_end
        finally:
            signal.set_wakeup_fd(old)
            for number, handler in before.items():
                signal.signal(number, handler)
    finally:
        os.close(read_end)
        os.close(write_end)


def _ignore(_number: int, _frame: object) -> None:
    """Only the wake-up matters."""


@contextlib.contextmanager
def _raw_terminal() -> Generator[None]:
    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSADRAIN)  # what was typed meanwhile is for the program
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _window_size(terminal: int) -> tuple[int, int]:
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(terminal, termios.TIOCGWINSZ, b"\0" * 8))
    return rows, columns


def _code_of_killed(client: subprocess.Popen[bytes]) -> int | None:
    """The relay has the agent's own user, so the agent can kill it: that is an end like any other."""
    try:
        code = client.wait(_CLIENT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return None
    return code if code > _SIGNALLED else None


def _last_line(complaint: bytes) -> str:
    lines = complaint.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def main(arguments: Sequence[str]) -> int:
    """Run as ``enter ENGINE CONTAINER [-t] [--output-mark FILE] [NAME=VALUE...] -- ARGV...``.

    Variables that are set stay as they are.
    """
    at = arguments.index("--")
    engine, container, *options = arguments[:at]
    mark = take_mark(options)
    for name, separator, value in (option.partition("=") for option in options):
        if separator:
            os.environ.setdefault(name, value)
    environ = terminal_environ()
    command = Command(
        engine, container, tuple(arguments[at + 1 :]), environ=environ, terminal="-t" in options, mark=mark
    )
    try:
        return run(command)
    except EnterError as error:
        sys.stderr.write(f"bottlemux: {error}\n")
        return _GONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
