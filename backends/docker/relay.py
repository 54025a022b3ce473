"""Runs one program in the bottle for a process on the host, over the standard streams of ``docker exec``.

An engine leaves a program running when the client of ``docker exec`` is killed. This process notices, because its
standard input ends, and hangs up on the program. It also makes the program's terminal inside the bottle, so that
none of the host's ever enters. Standard library only; ``frames`` lies beside this file.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import struct
import sys
import termios
import time

TYPE_CHECKING = False  # importing typing would take longer than all the rest of this module
if TYPE_CHECKING:
    from typing import Any

    from backends.docker import frames
else:
    import frames

HANGUP_GRACE_S = 2.0
_CHUNK = 65536
_OUTPUT_LIMIT = 4 * _CHUNK
_NOT_EXECUTABLE = 126
_NOT_FOUND = 127
_PR_SET_DUMPABLE = 4
_RESET = (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGTERM, signal.SIGXFSZ)


class Relay:
    """One program and its streams."""

    def __init__(self) -> None:
        self.reader = frames.Reader()
        self.out = bytearray()
        self.input = bytearray()
        self.input_ends = False
        self.pid = 0
        self.stdin = -1
        self.terminal = -1
        self.sources: dict[int, bytes] = {}

    def run(self) -> int:
        """Serve until the program or the host's side ends."""
        wakeup, write_end = os.pipe()
        for descriptor in (0, 1, wakeup, write_end):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(write_end)
        # When all are told to end, the program may still print: this process ends after it.
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, _ignore)
        while True:
            ready, writable, _ = select.select(self._readable(wakeup), self._writable(), [])
            if 0 in ready and not self._hear():
                return self._hang_up()
            for source in self.sources.keys() & set(ready):
                self._copy_output(source)
            if wakeup in ready:
                os.read(wakeup, 4096)
                code = self._ended()
                if code is not None:
                    return self._finish(code)
            if 1 in writable and not self._send():
                return self._hang_up()
            if self.stdin in writable:
                self._feed_program()

    def _readable(self, wakeup: int) -> list[int]:
        return [0, wakeup, *(self.sources if len(self.out) < _OUTPUT_LIMIT else ())]

    def _writable(self) -> list[int]:
        feeding = [self.stdin] if self.input and self.stdin >= 0 else []
        return [*([1] if self.out else []), *feeding]

    def _hear(self) -> bool:
        try:
            data = os.read(0, _CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        for kind, payload in self.reader.feed(data):
            self._obey(kind, payload)
        return True

    def _obey(self, kind: bytes, payload: bytes) -> None:
        if kind == frames.START and not self.pid:
            self._start(json.loads(payload))
        elif kind == frames.INPUT:
            if self.stdin >= 0:
                self.input += payload
            else:
                self._say(frames.TAKEN, struct.pack("!I", len(payload)))
        elif kind == frames.INPUT_END:
            self.input_ends = True
            self._close_input_if_done()
        elif kind == frames.RESIZE and self.terminal >= 0:
            rows, columns = struct.unpack("!HH", payload)
            _set_size(self.terminal, rows, columns)
        elif kind == frames.SIGNAL and self.pid:
            _kill(-self.pid, payload[0])

    def _start(self, order: dict[str, Any]) -> None:
        size = order.get("size")
        if size:
            master, slave = os.openpty()
            _set_size(master, size[0], size[1])
            theirs = [slave, slave, slave]
            self.terminal = self.stdin = master
            self.sources = {master: frames.OUTPUT}
            close = [slave]
        else:
            (input_end, self.stdin), (output, output_end), (errors, errors_end) = (
                os.pipe(),
                os.pipe(),
                os.pipe(),
            )
            theirs = close = [input_end, output_end, errors_end]
            self.sources = {output: frames.OUTPUT, errors: frames.ERRORS}
        self.pid = os.fork()
        if self.pid == 0:
            _become(order, theirs, bool(size))
        for descriptor in close:
            os.close(descriptor)
        for descriptor in {self.stdin, *self.sources}:
            os.set_blocking(descriptor, False)

    def _copy_output(self, source: int) -> bool:
        try:
            data = os.read(source, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # a terminal whose last program ended reads as EIO
        if data:
            self._say(self.sources[source], data)
            return True
        del self.sources[source]
        return False

    def _feed_program(self) -> None:
        try:
            count = os.write(self.stdin, self.input[:_CHUNK])
        except BlockingIOError:
            return
        except OSError:
            count = len(self.input)
        del self.input[:count]
        self._say(frames.TAKEN, struct.pack("!I", count))
        self._close_input_if_done()

    def _close_input_if_done(self) -> None:
        if self.input_ends and not self.input and self.stdin >= 0 and self.stdin != self.terminal:
            os.close(self.stdin)
            self.stdin = -1

    def _say(self, kind: bytes, payload: bytes) -> None:
        self.out += frames.frame(kind, payload)

    def _send(self) -> bool:
        try:
            del self.out[: os.write(1, self.out[:_CHUNK])]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def _ended(self) -> int | None:
        if not self.pid:
            return None
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return None
        return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    def _finish(self, code: int) -> int:
        """Send what the program wrote already, without waiting for others that hold its streams, and its code."""
        for source in list(self.sources):
            while self._copy_output(source):
                pass
        self._say(frames.EXIT, bytes([code]))
        while self.out:
            if select.select([], [1], [], HANGUP_GRACE_S)[1] and self._send():
                continue
            break
        return 0

    def _hang_up(self) -> int:
        if not self.pid:
            return 1
        _kill(-self.pid, signal.SIGHUP)
        _kill(-self.pid, signal.SIGCONT)
        if self.terminal >= 0:
            os.close(self.terminal)
        deadline = time.monotonic() + HANGUP_GRACE_S
        while time.monotonic() < deadline and self._ended() is None:
            time.sleep(0.02)
        _kill(-self.pid, signal.SIGKILL)
        return 1


def _become(order: dict[str, Any], stdio: list[int], terminal: bool) -> None:
    """Turn this forked child into the program; never returns."""
    code = _NOT_EXECUTABLE
    argv = order["argv"]
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        if terminal:
            fcntl.ioctl(stdio[0], termios.TIOCSCTTY, 0)
        for target, source in enumerate([fcntl.fcntl(one, fcntl.F_DUPFD, 20) for one in stdio]):
            os.dup2(source, target, inheritable=True)
        os.closerange(3, 1024)
        for number in _RESET:
            signal.signal(number, signal.SIG_DFL)
        os.chdir(order["cwd"])
        os.execvpe(argv[0], argv, {**os.environ, **order["environ"]})
    except OSError as error:
        if error.errno == errno.ENOENT:
            code = _NOT_FOUND
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode(errors="replace"))
    finally:
        os._exit(code)


def _set_size(terminal: int, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _ignore(_number: int, _frame: object) -> None:
    """A signal only has to end a wait."""


if __name__ == "__main__":
    # Same user as the agent: without this, the agent could attach and read what passes through.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    sys.exit(Relay().run())
