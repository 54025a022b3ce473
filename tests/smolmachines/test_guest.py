"""What guest init does that needs no machine: it carries ports, and reads its settings as they are written."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backends.smolmachines import settings
from tests.backends.world import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    type Connect = Callable[[Callable[[socket.socket], object]], Callable[[], socket.socket]]

CODE = Path(settings.__file__).parent
TIMEOUT_S = 60.0
CARRY = """
import sys
sys.path.insert(0, sys.argv[1])
import guest_init
guest_init.listen(sys.argv[2:])
print("listening", flush=True)
sys.stdin.read()
"""
READ = "import sys; sys.path.insert(0, sys.argv[1]); import confine; print(confine.read_settings('some'))"


@pytest.fixture
def lib(tmp_path: Path) -> Path:
    """Return a directory with what a machine runs of ours."""
    directory = tmp_path / "lib"
    directory.mkdir()
    for name in ("confine.py", "guest_init.py"):
        shutil.copy(CODE / name, directory)
    return directory


def run(directory: Path, code: str, *words: str) -> subprocess.Popen[str]:
    """Start ``code`` as a machine does, with nothing but what is in ``directory``."""
    argv = [sys.executable, "-I", "-S", "-B", "-c", code, str(directory), *words]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


class Upstream:
    """A sidecar's socket; each connection to it is served by ``serve`` in a thread of its own."""

    def __init__(self, path: Path, serve: Callable[[socket.socket], object]) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(256)
        self.serve = serve
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self.serve(connection)


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def answer_backwards(connection: socket.socket) -> None:
    connection.sendall(read_all(connection)[::-1])


@pytest.fixture
def connect(lib: Path, tmp_path: Path) -> Iterator[Connect]:
    """Return what has a port carried to a server, and returns what connects to that port."""
    with contextlib.ExitStack() as ends:

        def to(serve: Callable[[socket.socket], object]) -> Callable[[], socket.socket]:
            upstream = Upstream(tmp_path / "s", serve)
            ends.callback(upstream.listener.close)
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            process = run(lib, CARRY, f"{port}:{tmp_path / 's'}")
            ends.callback(process.communicate, timeout=TIMEOUT_S)
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n"
            return lambda: ends.enter_context(socket.create_connection(("127.0.0.1", port), TIMEOUT_S))

        yield to


def test_both_ways_and_the_end_of_each_alone_are_carried(connect: Connect) -> None:
    near = connect(answer_backwards)()
    near.sendall(b"abc" * 100_000)
    near.shutdown(socket.SHUT_WR)
    assert read_all(near) == b"cba" * 100_000


def test_an_answer_comes_while_a_request_is_still_sent(connect: Connect) -> None:
    near = connect(lambda far: far.sendall(far.recv(1)))()
    near.sendall(b"x")
    assert near.recv(1) == b"x"


def test_a_side_that_breaks_off_ends_the_other(connect: Connect) -> None:
    ended = threading.Event()

    def serve(far: socket.socket) -> None:
        far.sendall(b"x")
        with contextlib.suppress(OSError):
            read_all(far)
        ended.set()

    near = connect(serve)()
    assert near.recv(1) == b"x"
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    near.close()
    assert ended.wait(TIMEOUT_S)


def test_more_than_it_carries_at_once_wait_until_others_end(connect: Connect) -> None:
    served: list[socket.socket] = []

    def serve(far: socket.socket) -> None:
        served.append(far)
        read_all(far)

    make = connect(serve)
    many = [make() for _ in range(600)]
    until(lambda: len(served) > 400, "many are carried")
    for one in many[:500]:
        one.close()
    until(lambda: len(served) == 600, "those that waited are carried")


def test_a_port_whose_sidecar_is_gone_is_closed(connect: Connect, tmp_path: Path) -> None:
    make = connect(answer_backwards)
    (tmp_path / "s").unlink()
    assert make().recv(1) == b""
    assert make().recv(1) == b""


def test_settings_arrive_as_they_were_written(lib: Path) -> None:
    written = {"empty": [], "environ": ["A=", "B=1\n2\r\n", "C=ü '\"\\"], "one": ["x"]}
    (lib / "some.settings").write_text(settings.encode(written), newline="")
    reader = run(lib, READ)
    assert reader.communicate(timeout=TIMEOUT_S)[0].strip() == repr(written)


@pytest.mark.parametrize("value", ["", "a\0b"])
def test_what_cannot_be_written_down_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="cannot be written down"):
        settings.encode({"name": [value]})
