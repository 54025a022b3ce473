"""``bottlemux attach`` to a workspace of 10 windows of 3 panes that has to be built, against ``tmuxp load -d`` of it.

    python bench/attach.py [REPETITIONS]

Ten bottles run; before each round their tmux server is ended, as by a log-out. Ours is the whole process, as a user
types it, on a terminal of its own, until the terminal shows the workspace; the peer's is its whole process, and it
attaches nothing. Both start a server with an empty home.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import common
from bench.workspace import PANES, WINDOWS, tmuxp_file

if TYPE_CHECKING:
    from bench.common import User

TARGET_RATIO = 0.2
# The status line is drawn last: the name of a window, or the offer of keys that stands there at first.
SHOWN = (b"sleeper-", b"keys install")


def end_server(user: User, name: str) -> None:
    tmux = ["tmux", "-L", name, "kill-server"]
    subprocess.run(tmux, env=user.environ, check=False, capture_output=True, timeout=common.TIMEOUT_S)


def time_attach(user: User) -> float:
    end_server(user, user.environ["BOTTLEMUX_TMUX_SOCKET"])
    argv = user.argv("attach")
    began = time.perf_counter()
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(user.project)
        os.execvpe(argv[0], argv, user.environ)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    seen = b""
    while not any(text in seen for text in SHOWN):
        if not select.select([master], [], [], common.TIMEOUT_S)[0]:
            raise SystemExit(f"nothing was shown: {seen[-500:]!r}")
        try:
            seen += os.read(master, 65536)
        except OSError as error:
            raise SystemExit(f"attach ended: {seen[-2000:].decode(errors='replace')}") from error
    elapsed = time.perf_counter() - began
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(master)
    listed = [
        "tmux",
        "-L",
        user.environ["BOTTLEMUX_TMUX_SOCKET"],
        "list-panes",
        "-a",
        "-F",
        "#{@bottlemux_role}",
    ]
    panes = common.run(listed, env=user.environ).split()
    assert len(panes) - panes.count("dashboard") == WINDOWS * PANES, panes
    return elapsed


def time_tmuxp(user: User, path: Path) -> float:
    name = f"{user.environ['BOTTLEMUX_TMUX_SOCKET']}-peer"
    tmuxp = [str(Path(sys.executable).with_name("tmuxp")), "load", "-d", "-y", "-L", name, str(path)]
    try:
        return common.timed(lambda: common.run(tmuxp, env=user.environ))
    finally:
        end_server(user, name)


def main() -> int:
    with common.user() as user:
        user.manifest("bottles", "quiet", "supervise: false")
        user.manifest("agents", "sleeper", "bottle: quiet\nprogram: [sleep, '100000']")
        for _ in range(WINDOWS):
            user.start("sleeper")
        path = tmuxp_file(user.project)
        actions = {"attach": lambda: time_attach(user), "tmuxp": lambda: time_tmuxp(user, path)}
        taken = common.interleaved(common.repetitions(5), actions)
    print(f"{WINDOWS} windows x {PANES} panes, medians, interleaved")
    common.milliseconds("tmuxp load -d", taken["tmuxp"])
    common.milliseconds("bottlemux attach, until it is shown", taken["attach"])
    return common.exit_code([common.verdict("attach", taken["attach"] / taken["tmuxp"], TARGET_RATIO)])


if __name__ == "__main__":
    sys.exit(main())
