"""Run a program in a running bottle and pass its input, output, signals, window size and exit code through.

The bottle never gets a descriptor of the host: a terminal is made inside it, pipes are made for it, and this
process copies between them. Otherwise a program of the bottle that stays behind could read the keys typed at the
host's terminal, or reopen a host file for writing.

Every pane and every ``exec`` is such a process, and a person waits for it: what it imports is a few built-in modules.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import sys
import termios

from backends.terminal import take_mark, terminal_environ
from sidecars import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType
    from typing import Any

    from backends.terminal import OutputMark

    type Handler = Callable[[int, FrameType | None], object]
else:
    import _signal as signal  # without the enumerations of signal, whose import takes longer than all of this

_CHUNK = 65536
_BUFFER_LIMIT = 4 * _CHUNK
# Not SIGHUP: it says that our terminal is gone. We end by it, and the bottle then hangs up on the program.
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_GONE = 125


class EnterError(Exception):
    """The bottle cannot be entered, or went away; the text is for a person."""


class Command:
    """What to run in a bottle. ``environ`` is added to the bottle's own environment; it may hold no secret.

    ``mark`` is told of the output in a terminal.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "/workspace",
        environ: Mapping[str, str] | None = None,
        terminal: bool = False,
        mark: OutputMark | None = None,
    ) -> None:
        self.argv = tuple(argv)
        self.cwd = cwd
        self.environ = dict(environ or {})
        self.terminal = terminal
        self.mark = mark

    def request(self) -> list[bytes]:
        """Return what process 1 of the bottle is asked."""
        size = "{} {}".format(*_window_size()) if self.terminal else ""
        variables = [f"{name}={value}" for name, value in self.environ.items()]
        fields = ["spawn", self.cwd, size, str(len(variables)), *variables, *self.argv]
        return [os.fsencode(field) for field in fields]


class _Channel:
    """One direction of copying, of ``limit`` bytes. ``close_sink`` says whether the sink ends when the source does."""

    def __init__(
        self,
        source: int,
        sink: int,
        *,
        close_sink: bool = False,
        limit: int = sys.maxsize,
        mark: OutputMark | None = None,
    ) -> None:
        self.mark = mark
        self.source = source
        self.sink = sink
        self.close_sink = close_sink
        self.left = limit
        self.pending = bytearray()
        self.ended = False
        self.broken = False

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
            self.left -= len(data)
            if self.left < 0:
                raise EnterError("the program prints too much")
            self.pending += data
            if self.mark is not None:
                self.mark.shown()
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
    return run_on(connect(control_socket), command)


def run_on(connection: socket.socket, command: Command) -> int:
    """Run ``command`` as :func:`run` does, over a ``connection`` that is closed afterwards."""
    try:
        if command.terminal:
            return _run_in_terminal(connection, command)
        return _run_with_pipes(connection, command, (0, 1, 2))
    finally:
        connection.close()


def capture(control_socket: str, command: Command, stdin: bytes, limit: int) -> tuple[int, bytes, bytes]:
    """Run ``command`` with ``stdin`` and return exit code, standard output and standard error.

    More than ``limit`` bytes in one of them is an :class:`EnterError`.
    """
    import tempfile

    with (
        tempfile.TemporaryFile() as source,
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
    ):
        source.write(stdin)
        source.seek(0)
        streams = (source.fileno(), stdout.fileno(), stderr.fileno())
        connection = connect(control_socket)
        try:
            code = _run_with_pipes(connection, command, streams, limit)
        finally:
            connection.close()
        stdout.seek(0)
        stderr.seek(0)
        return code, stdout.read(), stderr.read()


def connect(control_socket: str) -> socket.socket:
    """Return a connection to process 1 of the bottle; :class:`EnterError` when nothing answers."""
    try:
        return wire.connect(control_socket)
    except OSError as error:
        raise EnterError(f"the bottle is not running ({error.strerror})") from error


def _spawn(connection: socket.socket, command: Command, descriptors: Sequence[int]) -> list[int]:
    try:
        wire.send(connection, command.request(), descriptors)
        reply, received = wire.receive(connection)
    except (OSError, EOFError, ValueError) as error:
        raise EnterError(f"the bottle went away: {error}") from error
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    if reply is None or reply[0] != b"pid":
        reason = reply[-1].decode(errors="replace") if reply else "it went away"
        raise EnterError(f"the bottle refused: {reason}")
    return received


def _pipes() -> tuple[list[int], list[int]]:
    """Return the bottle's ends and ours of three pipes: standard input, output and error."""
    stdin_read, stdin_write = os.pipe()
    stdout_read, stdout_write = os.pipe()
    stderr_read, stderr_write = os.pipe()
    outer = [stdin_write, stdout_read, stderr_read]
    os.set_blocking(stdin_write, False)
    return [stdin_read, stdout_write, stderr_write], outer


def _run_with_pipes(
    connection: socket.socket, command: Command, streams: tuple[int, int, int], limit: int = sys.maxsize
) -> int:
    inner, (stdin, stdout, stderr) = _pipes()
    _spawn(connection, command, inner)
    feed = _Channel(streams[0], stdin, close_sink=True)
    outputs = [_Channel(stdout, streams[1], limit=limit), _Channel(stderr, streams[2], limit=limit)]
    try:
        with _Handlers(dict.fromkeys(_FORWARDED, _forwarding(connection))):
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
    channels = [_Channel(0, master), _Channel(master, 1, mark=command.mark)]
    handlers: dict[int, Handler] = dict.fromkeys(_FORWARDED, _forwarding(connection))
    handlers[signal.SIGWINCH] = lambda _number, _frame: _resize(master, command.mark)
    before = _enter_raw_mode()
    try:
        with _Handlers(handlers):
            _pass_window_size(master)
            code = _pump(connection, channels)
            channels[1].drain()
    finally:
        if before is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, before)
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
        message, _descriptors = wire.receive(connection)
    except (OSError, EOFError, ValueError):
        message = None
    if message is None:
        raise EnterError("the bottle was stopped")
    if message[0] != b"exit":
        return None
    code = int(message[1])
    return 128 - code if code < 0 else code


def _window_size() -> tuple[int, int]:
    for descriptor in (0, 1, 2):
        try:
            packed = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, b"\0" * 8)
        except OSError:
            continue
        rows, columns, _, _ = struct.unpack("HHHH", packed)
        if rows and columns:
            return rows, columns
    return 24, 80


def _resize(master: int, mark: OutputMark | None) -> None:
    if mark is not None:
        mark.resized()
    _pass_window_size(master)


def _pass_window_size(master: int) -> None:
    rows, columns = _window_size()
    try:
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    except OSError:
        return


def _enter_raw_mode() -> list[Any] | None:
    """Return the settings of our terminal to put back; ``None`` where standard input is none."""
    if not os.isatty(0):
        return None
    import tty

    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSANOW)
    return before


def _forwarding(connection: socket.socket) -> Handler:
    def forward(number: int, _frame: FrameType | None) -> None:
        try:
            wire.send(connection, [b"signal", str(number).encode()])
        except OSError:
            return

    return forward


class _Handlers:
    """Handles signals for as long as it is entered."""

    def __init__(self, handlers: Mapping[int, Handler]) -> None:
        self._handlers = handlers
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number, handler in self._handlers.items():
            self._before[number] = signal.signal(number, handler)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def main(arguments: list[str]) -> int:
    """Run as ``enter SOCKET CWD [-t] [--output-mark FILE] -- ARGV...``: what a pane's process is."""
    at = arguments.index("--")
    control_socket, cwd, *options = arguments[:at]
    mark = take_mark(options)
    command = Command(
        arguments[at + 1 :], cwd=cwd, environ=terminal_environ(), terminal="-t" in options, mark=mark
    )
    try:
        return run(control_socket, command)
    except EnterError as error:
        sys.stderr.write(f"bottlemux: error: {error}\r\n")
        return _GONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
