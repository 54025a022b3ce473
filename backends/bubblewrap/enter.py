"""Run a program in a running bottle and pass its input, output, signals, window size and exit code through.

The bottle never gets a descriptor of the host: a terminal is made inside it, pipes are made for it, and this
process copies between them. Otherwise a program of the bottle that stays behind could read the keys typed at the
host's terminal, or reopen a host file for writing. Standard library only, so that a pane starts fast.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import sys
import tempfile
import termios
import tty
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidecars import ipc

if TYPE_CHECKING:
    import socket
    from collections.abc import Generator, Mapping, Sequence

_CHUNK = 65536
_BUFFER_LIMIT = 4 * _CHUNK
# Not SIGHUP: it says that our terminal is gone. We end by it, and the bottle then hangs up on the program.
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_GONE = 125


class EnterError(Exception):
    """The bottle cannot be entered, or went away; the text is for a person."""


@dataclass(frozen=True)
class Command:
    """What to run in a bottle. ``environ`` is added to the bottle's own environment; it may hold no secret."""

    argv: tuple[str, ...]
    cwd: str = "/workspace"
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    terminal: bool = False


@dataclass
class _Channel:
    """One direction of copying. ``close_sink`` says whether the sink ends when the source does."""

    source: int
    sink: int
    close_sink: bool = False
    pending: bytearray = field(default_factory=bytearray)
    ended: bool = False
    broken: bool = False

    @property
    def wants_input(self) -> bool:
        return not self.ended and not self.broken and len(self.pending) < _BUFFER_LIMIT

    @property
    def wants_output(self) -> bool:
        return bool(self.pending) and not self.broken

    def fill(self) -> None:
        try:
            data = os.read(self.source, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # a terminal whose last program ended reads as EIO
        if data:
            self.pending += data
        else:
            self.ended = True
            self._finish()

    def flush(self) -> None:
        try:
            del self.pending[: os.write(self.sink, self.pending[:_CHUNK])]
        except BlockingIOError:
            return
        except OSError:
            self.broken = True
            self.pending.clear()
        self._finish()

    def _finish(self) -> None:
        if self.close_sink and (self.broken or (self.ended and not self.pending)) and self.sink >= 0:
            os.close(self.sink)
            self.sink = -1
            self.broken = True

    def drain(self) -> None:
        """Copy what is there already, without waiting for more: the program has ended, others may hold the pipe."""
        os.set_blocking(self.source, False)
        self._flush_all()
        while not self.ended and not self.broken:
            self.fill()
            if not self.pending:
                return
            self._flush_all()

    def _flush_all(self) -> None:
        while self.wants_output:
            select.select([], [self.sink], [])
            self.flush()


def run(control_socket: str, command: Command) -> int:
    """Run ``command`` with this process's standard streams and return its exit code (128 + n for signal n).

    With ``terminal`` the program gets a terminal of the size of ours. Raises :class:`EnterError`.
    """
    connection = _connect(control_socket)
    try:
        if command.terminal:
            return _run_in_terminal(connection, command)
        return _run_with_pipes(connection, command, (0, 1, 2))
    finally:
        connection.close()


def capture(control_socket: str, command: Command, stdin: bytes) -> tuple[int, bytes, bytes]:
    """Run ``command`` with ``stdin`` and return exit code, standard output and standard error."""
    with (
        _connect(control_socket) as connection,
        tempfile.TemporaryFile() as source,
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
    ):
        source.write(stdin)
        source.seek(0)
        code = _run_with_pipes(connection, command, (source.fileno(), stdout.fileno(), stderr.fileno()))
        stdout.seek(0)
        stderr.seek(0)
        return code, stdout.read(), stderr.read()


def _connect(control_socket: str) -> socket.socket:
    try:
        return ipc.connect(control_socket)
    except OSError as error:
        raise EnterError(f"the bottle is not running ({error.strerror})") from error


def _spawn(connection: socket.socket, command: Command, descriptors: Sequence[int]) -> list[int]:
    size = list(_window_size()) if command.terminal else None
    request: dict[str, object] = {
        "op": "spawn",
        "argv": list(command.argv),
        "cwd": command.cwd,
        "env": dict(command.environ),
        "tty": size,
    }
    try:
        ipc.send(connection, request, descriptors)
        reply, received = ipc.receive(connection)
    except (OSError, EOFError) as error:
        raise EnterError(f"the bottle went away: {error}") from error
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    if reply is None or "error" in reply:
        raise EnterError(f"the bottle refused: {reply.get('error') if reply else 'it went away'}")
    return received


def _pipes() -> tuple[list[int], list[int]]:
    """Return the bottle's ends and ours of three pipes: standard input, output and error."""
    stdin_read, stdin_write = os.pipe()
    stdout_read, stdout_write = os.pipe()
    stderr_read, stderr_write = os.pipe()
    outer = [stdin_write, stdout_read, stderr_read]
    os.set_blocking(stdin_write, False)
    return [stdin_read, stdout_write, stderr_write], outer


def _run_with_pipes(connection: socket.socket, command: Command, streams: tuple[int, int, int]) -> int:
    inner, (stdin, stdout, stderr) = _pipes()
    _spawn(connection, command, inner)
    feed = _Channel(streams[0], stdin, close_sink=True)
    outputs = [_Channel(stdout, streams[1]), _Channel(stderr, streams[2])]
    try:
        with _forwarding_signals(connection):
            code = _pump(connection, [feed, *outputs])
        for channel in outputs:
            channel.drain()
    finally:
        for descriptor in {stdout, stderr, feed.sink} - {-1}:
            os.close(descriptor)
    return code


def _run_in_terminal(connection: socket.socket, command: Command) -> int:
    (master,) = _spawn(connection, command, [])
    os.set_blocking(master, False)
    channels = [_Channel(0, master), _Channel(master, 1)]
    with _raw_terminal(), _following_window_size(master), _forwarding_signals(connection):
        code = _pump(connection, channels)
        channels[1].drain()
    return code


def _pump(connection: socket.socket, channels: Sequence[_Channel]) -> int:
    control = connection.fileno()
    while True:
        inputs = [channel.source for channel in channels if channel.wants_input]
        outputs = [channel.sink for channel in channels if channel.wants_output]
        readable, writable, _ = select.select([control, *inputs], outputs, [])
        for channel in channels:
            if channel.wants_output and channel.sink in writable:
                channel.flush()
            if channel.wants_input and channel.source in readable:
                channel.fill()
        if control in readable and (code := _exit_code(connection)) is not None:
            return code


def _exit_code(connection: socket.socket) -> int | None:
    try:
        message, _descriptors = ipc.receive(connection)
    except (OSError, EOFError, ValueError):
        message = None
    if message is None:
        raise EnterError("the bottle was stopped")
    code = message.get("exit")
    if not isinstance(code, int):
        return None
    return 128 - code if code < 0 else code


def _window_size() -> tuple[int, int]:
    for descriptor in (0, 1, 2):
        with contextlib.suppress(OSError):
            packed = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, b"\0" * 8)
            rows, columns, _, _ = struct.unpack("HHHH", packed)
            if rows and columns:
                return rows, columns
    return 24, 80


@contextlib.contextmanager
def _raw_terminal() -> Generator[None]:
    if not os.isatty(0):
        yield
        return
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0, termios.TCSANOW)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _following_window_size(master: int) -> Generator[None]:
    def resize(*_: object) -> None:
        rows, columns = _window_size()
        with contextlib.suppress(OSError):
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    before = signal.signal(signal.SIGWINCH, resize)
    resize()
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


@contextlib.contextmanager
def _forwarding_signals(connection: socket.socket) -> Generator[None]:
    def forward(number: int, _frame: object) -> None:
        with contextlib.suppress(OSError):
            ipc.send(connection, {"op": "signal", "signal": number})

    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: list[str]) -> int:
    """Run as ``enter SOCKET CWD [-t] -- ARGV...``: what a pane's process is."""
    control_socket, cwd, *rest = arguments
    terminal = rest[0] == "-t"
    argv = rest[rest.index("--") + 1 :]
    environ = {name: os.environ[name] for name in ("TERM", "COLORTERM") if name in os.environ}
    try:
        return run(control_socket, Command(tuple(argv), cwd, environ, terminal))
    except EnterError as error:
        sys.stderr.write(f"bottlemux: error: {error}\r\n")
        return _GONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
