"""The first process of a bottle: it opens the sidecars' ports and starts every other process.

It runs inside the bottle as process 1, after bubblewrap has dropped every capability and loaded the system call
filter, so whatever it starts is confined alike. The host talks to it over a socket that was opened outside and is
not reachable by name from inside. Standard library only; ``wire`` is ``sidecars.wire``, mounted beside this file.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import resource
import select
import struct
import sys
import termios
import time

# The bottle waits for these imports, and keeps their memory: built-in modules in place of the libraries above them.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Callable

    from sidecars import wire
else:
    import _signal as signal
    import _socket as socket

    import wire

CONTROL_FD = 10
SYNC_FD = 11
HANGUP_GRACE_S = 2.0
STOP_GRACE_S = 2.0
_FIRST_FREE_FD = 3
_PR_SET_DUMPABLE = 4
_NOT_EXECUTABLE = 126
_NOT_FOUND = 127


class Request:
    """What to start: the fields of a ``spawn``, which ``enter.Command`` writes."""

    def __init__(self, fields: list[bytes]) -> None:
        texts = [os.fsdecode(field) for field in fields]
        first_argument = 4 + int(texts[3])
        self.directory = texts[1] or "/"
        self.size = [int(number) for number in texts[2].split()]
        self.environ = dict(variable.split("=", 1) for variable in texts[4:first_argument])
        self.argv = texts[first_argument:]


class Child:
    """One process started for a client of the control socket."""

    def __init__(self, pid: int, client: socket.socket) -> None:
        self.pid = pid
        self.client = client
        self.kill_at: float | None = None


class Init:
    """Starts, signals and reaps the bottle's processes on behalf of the host."""

    def __init__(self, control: socket.socket, sync: socket.socket) -> None:
        self.control = control
        self.sync = sync
        self.children: dict[int, Child] = {}
        self.clients: dict[socket.socket, Child | None] = {}
        self.hung_up: dict[int, float] = {}
        self.stopping_at: float | None = None
        self.poll = select.poll()
        self.handlers: dict[int, Callable[[], object]] = {}

    def run(self) -> None:
        """Serve until the supervisor closes its end of ``sync``; then end every process and return."""
        wakeup_read, wakeup_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        self._watch(self.control.fileno(), self._accept)
        self._watch(self.sync.fileno(), self._stop)
        self._watch(wakeup_read, lambda: os.read(wakeup_read, 4096))
        while not self._finished():
            for descriptor, _events in self.poll.poll(self._timeout()):
                # One handler may have ended what another was to look at.
                if handler := self.handlers.get(descriptor):
                    handler()
            self._reap()
            self._kill_overdue()

    def _watch(self, descriptor: int, handler: Callable[[], object]) -> None:
        self.poll.register(descriptor, select.POLLIN)
        self.handlers[descriptor] = handler

    def _unwatch(self, descriptor: int) -> None:
        self.poll.unregister(descriptor)
        del self.handlers[descriptor]

    def _finished(self) -> bool:
        if self.stopping_at is None:
            return False
        return not _any_process_left() or time.monotonic() >= self.stopping_at + STOP_GRACE_S

    def _timeout(self) -> int | None:
        """Return for how many milliseconds to wait at most."""
        if self.stopping_at is not None:
            return 20
        return 100 if self.hung_up else None

    def _stop(self) -> None:
        self._unwatch(self.sync.fileno())
        self.stopping_at = time.monotonic()
        _kill(-1, signal.SIGHUP)
        _kill(-1, signal.SIGTERM)
        _kill(-1, signal.SIGCONT)

    def _accept(self) -> None:
        client = wire.accept(self.control)
        self.clients[client] = None
        self._watch(client.fileno(), lambda: self._serve(client))

    def _serve(self, client: socket.socket) -> None:
        descriptors: list[int] = []
        try:
            message, descriptors = wire.receive(client)
            if message is None:
                self._disconnect(client)
            elif message[0] == b"signal":
                self._signal(client, int(message[1]))
            elif message[0] == b"spawn" and self.clients[client] is None:
                self._spawn(client, Request(message), descriptors)
            else:
                wire.send(client, [b"error", b"unknown request"])
        except (ValueError, IndexError, EOFError, OSError) as error:
            self._refuse(client, error)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _refuse(self, client: socket.socket, error: Exception) -> None:
        _send(client, [b"error", f"{type(error).__name__}: {error}".encode(errors="replace")])
        self._disconnect(client)

    def _signal(self, client: socket.socket, number: int) -> None:
        child = self.clients[client]
        if child is not None:
            _kill(-child.pid, number)

    def _disconnect(self, client: socket.socket) -> None:
        self._unwatch(client.fileno())
        child = self.clients.pop(client)
        client.close()
        if child is not None and child.pid in self.children:
            del self.children[child.pid]
            _kill(-child.pid, signal.SIGHUP)
            _kill(-child.pid, signal.SIGCONT)
            self.hung_up[child.pid] = time.monotonic() + HANGUP_GRACE_S

    def _spawn(self, client: socket.socket, request: Request, descriptors: list[int]) -> None:
        if request.size:
            master, slave = os.openpty()
            descriptors += [master, slave]
            set_window_size(master, *request.size)
            pid = _start(request, [slave, slave, slave], tty=True)
            reply = [master]
        else:
            pid = _start(request, descriptors[:3], tty=False)
            reply = []
        child = Child(pid, client)
        self.children[pid] = child
        self.clients[client] = child
        wire.send(client, [b"pid", str(pid).encode()], reply)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self.children.pop(pid, None)
            if child is not None:
                self._report(child, os.waitstatus_to_exitcode(status))

    def _report(self, child: Child, code: int) -> None:
        _send(child.client, [b"exit", str(code).encode()])

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for pid, deadline in list(self.hung_up.items()):
            if now >= deadline:
                _kill(-pid, signal.SIGKILL)
                del self.hung_up[pid]


def _start(request: Request, stdio: list[int], *, tty: bool) -> int:
    if len(stdio) != 3 or not request.argv:
        raise ValueError("a program and three descriptors are needed")
    pid = os.fork()
    if pid == 0:
        environ = {**os.environ, **request.environ}
        _become(request.argv, environ, request.directory, stdio, tty=tty)
    return pid


def _become(argv: list[str], environ: dict[str, str], directory: str, stdio: list[int], *, tty: bool) -> None:
    """Turn this forked child into the program; never returns."""
    code = _NOT_EXECUTABLE
    try:
        os.setsid()
        if tty:
            fcntl.ioctl(stdio[0], termios.TIOCSCTTY, 0)
        for target, source in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in stdio]):
            os.dup2(source, target, inheritable=True)
        os.closerange(_FIRST_FREE_FD, _open_file_limit())
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(directory)
        _execute(argv, environ)
    except OSError as error:
        if error.errno == errno.ENOENT:
            code = _NOT_FOUND
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode(errors="replace"))
    finally:
        os._exit(code)


def _execute(argv: list[str], environ: dict[str, str]) -> None:
    """Do what ``os.execvpe`` does, which imports a library to warn of a case that cannot be: in each child anew."""
    if "/" in argv[0]:
        os.execve(argv[0], argv, environ)
    failure = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    for directory in environ.get("PATH", os.defpath).split(":"):
        try:
            os.execve(f"{directory}/{argv[0]}", argv, environ)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            failure = error
    raise failure


def _open_file_limit() -> int:
    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 65536)


def set_window_size(terminal: int, rows: int, columns: int) -> None:
    """Give ``terminal`` its size in character cells."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _send(client: socket.socket, fields: list[bytes]) -> None:
    """Tell a client that may be gone already."""
    try:
        wire.send(client, fields)
    except OSError:
        return


def _any_process_left() -> bool:
    return any(name.isdigit() and name != "1" for name in os.listdir("/proc"))


def _ignore(_number: int, _frame: object) -> None:
    """SIGCHLD only has to end a wait."""


def _limit_processes(count: int) -> None:
    if count:
        resource.setrlimit(resource.RLIMIT_NPROC, (count, count))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _open_ports(ports: list[str]) -> tuple[list[str], list[socket.socket]]:
    names: list[str] = []
    listeners: list[socket.socket] = []
    for item in ports:
        name, _, port = item.partition("=")
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(port)))
        listener.listen(256)
        names.append(name)
        listeners.append(listener)
    return names, listeners


def main(arguments: list[str]) -> None:
    """Run as ``init PROCESS_LIMIT NAME=PORT...``; descriptors 10 and 11 are ``control`` and ``sync``."""
    # Same user as the agent: without this, the agent could attach to process 1 and read what passes through it.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    os.environ.pop("LD_LIBRARY_PATH", None)
    _limit_processes(int(arguments[0]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control, sync = socket.socket(fileno=CONTROL_FD), socket.socket(fileno=SYNC_FD)
    for inherited in (CONTROL_FD, SYNC_FD):
        os.set_inheritable(inherited, False)
    names, listeners = _open_ports(arguments[1:])
    wire.send(sync, [name.encode() for name in names], [listener.fileno() for listener in listeners])
    for listener in listeners:
        listener.close()
    Init(control, sync).run()


if __name__ == "__main__":
    main(sys.argv[1:])
