"""The palette against a bare prompt_toolkit screen of the same kind: time to first paint, and echo of keys.

    python bench/palette.py [REPETITIONS]

Each program is started on a pseudo-terminal of its own, the two in turns, and timed from the start of the process
until its list is on the screen: first with nothing running beforehand, then, as a key in tmux does it, with the warm
process there. Then the palette gets 500 bottles and letters one by one: how long until each is drawn.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from bottlemux.lifecycle.context import Context
from bottlemux.paths import Paths

SIZE = (40, 140)
BOTTLES = 500
KEYS = 200
TARGET_COLD = 1.2
TARGET_WARM = 0.3
LOADING_S = 120.0
TARGET_ECHO_MS = 16.0
DEADLINE_S = 20.0

BARE = """
from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import HSplit, Layout, VSplit, Window
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
keys = KeyBindings()
keys.add("c-c")(lambda event: event.app.exit())
typed = Window(BufferControl(Buffer(multiline=False)), height=1)
rows = Window(FormattedTextControl([("", "start demo\\n")] * 20))
side = Window(FormattedTextControl("preview"))
layout = Layout(HSplit([typed, VSplit([rows, Window(width=1, char="|"), side])]), focused_element=typed)
Application(layout=layout, key_bindings=keys, full_screen=True).run()
"""


class Program:
    """A program on a pseudo-terminal."""

    def __init__(self, argv: list[str], environ: dict[str, str]) -> None:
        self.started = time.perf_counter()
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], argv, environ)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))

    def wait_for(self, text: bytes) -> float:
        """Return the seconds until ``text`` was written, from the start of the process."""
        seen = b""
        while text not in seen:
            if not self._readable(DEADLINE_S):
                raise TimeoutError(f"{text!r} did not appear: {seen[-500:]!r}")
            seen += os.read(self.master, 65536)
        return time.perf_counter() - self.started

    def settle(self) -> None:
        """Read on until nothing has been written for a while."""
        while self._readable(0.5):
            os.read(self.master, 65536)

    def echo(self, key: bytes) -> float:
        """Return the seconds until something was written after ``key``."""
        began = time.perf_counter()
        os.write(self.master, key)
        if not self._readable(DEADLINE_S):
            raise TimeoutError(f"nothing was drawn after {key!r}")
        took = time.perf_counter() - began
        while self._readable(0.05):
            os.read(self.master, 65536)
        return took

    def end(self) -> float:
        """Return the seconds of processor time that were used."""
        os.kill(self.pid, signal.SIGKILL)
        usage = os.wait4(self.pid, 0)[2]
        os.close(self.master)
        return usage.ru_utime + usage.ru_stime

    def _readable(self, seconds: float) -> bool:
        return bool(select.select([self.master], [], [], seconds)[0])


def first_paint(argv: list[str], environ: dict[str, str]) -> tuple[float, float]:
    """Return the seconds of wall and of processor time until the list was on the screen."""
    program = Program(argv, environ)
    try:
        wall = program.wait_for(b"start demo")
    finally:
        processor = program.end()
    return wall, processor


def key_echo(argv: list[str], environ: dict[str, str]) -> list[float]:
    program = Program(argv, environ)
    try:
        program.wait_for(b"start demo")
        program.settle()
        letters = [b"d", b"e", b"m", b"o", b"\x7f", b"\x7f", b"\x7f", b"\x7f", b"\x1b[B", b"\x1b[A"]
        return [program.echo(letters[index % len(letters)]) for index in range(KEYS)]
    finally:
        program.end()


def quantiles(times: list[float]) -> tuple[float, float]:
    ordered = sorted(times)
    return ordered[len(ordered) // 2] * 1000, ordered[int(len(ordered) * 0.99)] * 1000


def make_bottles(state: Path) -> None:
    for number in range(BOTTLES):
        (state / "bottles" / f"demo-{number:05d}").mkdir(parents=True)


def compare(label: str, ours: list[str], bare: list[str], environ: dict[str, str], repetitions: int) -> float:
    """Print both programs' times to first paint; return the ratio of the medians of wall time."""
    rounds = [(first_paint(ours, environ), first_paint(bare, environ)) for _ in range(repetitions + 1)]
    ratio = 0.0
    for index, what in ((1, "processor time"), (0, "wall time")):
        # The first round fills caches.
        own = statistics.median(one[0][index] for one in rounds[1:])
        theirs = statistics.median(one[1][index] for one in rounds[1:])
        ratio = own / theirs
        print(f"{label}, {what}: {own * 1000:.0f} ms, bare {theirs * 1000:.0f} ms, ratio {ratio:.2f}")
    return ratio


def warm_up(environ: dict[str, str]) -> int:
    """Start the warm process and wait until it has loaded what it loads; return its process id."""
    code = "from bottlemux.lifecycle.context import Context as C; from bottlemux.lifecycle.warming import warm_up as w"
    subprocess.run(
        [sys.executable, "-I", "-c", f"{code}; w(C.current())"], env=environ, check=True, timeout=60
    )
    mark = f"HOME={environ['HOME']}".encode()
    (pid,) = [int(name) for name in os.listdir("/proc") if name.isdigit() and mark in _environ(name)]
    deadline = time.monotonic() + LOADING_S
    quiet, before = 0, -1.0
    # It loads a module a second while nothing is asked for, and uses no time at all when it is done.
    while quiet < 8 and time.monotonic() < deadline:
        time.sleep(1)
        used = float(sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])))
        quiet, before = (quiet + 1 if used == before else 0), used
    return pid


def _environ(pid: str) -> list[bytes]:
    try:
        return Path("/proc", pid, "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def main() -> int:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "home").mkdir()
        bare = directory / "bare.py"
        bare.write_text(BARE)
        environ = {
            "HOME": str(directory / "home"),
            "PATH": os.environ["PATH"],
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "BOTTLEMUX_TMUX_SOCKET": f"bottlemux-bench-{os.getpid()}",
        }
        palette = [str(Path(sys.executable).with_name("bottlemux")), "palette", "--here"]
        others = [sys.executable, "-I", str(bare)]
        cold = compare("first paint cold", palette, others, environ, repetitions)
        pid = warm_up(environ)
        try:
            key = Context(Paths.from_environ(environ), environ, directory).quick_argv("palette", "--here")
            warm = compare("first paint warm", key, others, environ, repetitions)
        finally:
            os.kill(pid, signal.SIGKILL)
        make_bottles(directory / "home" / ".local" / "state" / "bottlemux")
        p50, p99 = quantiles(key_echo(palette, environ))
        bare50, bare99 = quantiles(key_echo(others, environ))
        print(f"key echo with {BOTTLES} bottles: median {p50:.1f} ms, p99 {p99:.1f} ms")
        print(f"key echo of the bare screen: median {bare50:.1f} ms, p99 {bare99:.1f} ms")
    return 0 if cold <= TARGET_COLD and warm <= TARGET_WARM and p99 <= TARGET_ECHO_MS else 1


if __name__ == "__main__":
    sys.exit(main())
