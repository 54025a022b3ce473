"""CPU that the dashboard takes with 30 idle bottles, against one ``list-panes`` poll a second.

    python bench/dashboard.py [SECONDS]

The bottles are 30 records with a living supervisor each, which are stand-ins: a held lock, a status report, and a tree
of 6 idle processes, as many as a bottle with two sidecars has. Their windows, of 3 panes each, are on a private tmux
server, and the dashboard is the real one, in its window with a client attached. The figure is the processor time of
its process and of the tmux clients that it starts; the peer is a program that starts one ``tmux list-panes`` a second.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import common

from bottlemux.lifecycle.context import Context
from bottlemux.paths import Paths
from bottlemux.session.models import PaneSpec, WindowSpec
from bottlemux.state.liveness import RuntimeStatus, process_start, write_status

if TYPE_CHECKING:
    from collections.abc import Generator

BOTTLES = 30
PROCESSES = 6
PANES = 3
TARGET_PERCENT = 2.0
SETTLE_S = 15.0
TREE = "for n in $(seq {count}); do sleep 100000 & done; wait"
POLL = """import subprocess, sys, time
while True:
    subprocess.run(sys.argv[1:], capture_output=True)
    time.sleep(1)
"""


@contextlib.contextmanager
def bottles(context: Context) -> Generator[list[str]]:
    """Make the records, and what has them count as running."""
    held, trees, slugs = [], [], []
    try:
        for _ in range(BOTTLES):
            slug = context.store.create("dev", bottle="demo", backend="bubblewrap", cwd=context.cwd).identity
            files = context.paths.bottle(slug)
            files.runtime.mkdir(parents=True, exist_ok=True)
            tree = subprocess.Popen(["sh", "-c", TREE.format(count=PROCESSES - 1)], start_new_session=True)
            trees.append(tree)
            held.append(files.lock.open("w"))
            fcntl.flock(held[-1], fcntl.LOCK_EX)
            start = process_start(tree.pid) or 0
            write_status(
                files, RuntimeStatus(tree.pid, start, "2026-01-01T00:00:00Z", "bubblewrap", tree.pid)
            )
            slugs.append(slug)
        yield slugs
    finally:
        for tree in trees:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(tree.pid, 9)
            tree.wait()


def open_windows(context: Context, slugs: list[str]) -> None:
    pane = PaneSpec("agent", ("sleep", "100000"))
    others = [PaneSpec("shell", ("sleep", "100000"))] * (PANES - 1)
    context.workspace.open_windows([
        WindowSpec(slug, "dev", "bubblewrap", (pane, *others)) for slug in slugs
    ])  # fmt: skip


@contextlib.contextmanager
def watched(context: Context) -> Generator[int]:
    """Attach a terminal to the dashboard; give its process id."""
    server = context.workspace.server
    fields = ["-f", "#{==:#{@bottlemux_role},dashboard}", "-F", "#{pane_id} #{pane_pid}"]
    pane, pid = server.batch([["list-panes", "-a", *fields]])[0].split()
    server.batch([["select-window", "-t", pane]])
    client, master = pty.fork()
    if client == 0:
        os.execvpe("tmux", server.argv("attach-session", "-t", pane), dict(context.environ))
    try:
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until:
            if select.select([master], [], [], 0.2)[0]:
                os.read(master, 65536)
        yield int(pid)
    finally:
        os.kill(client, 9)
        os.waitpid(client, 0)
        os.close(master)


def used(pid: int) -> float:
    """Return the seconds of processor time of a process and of its children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def percent(pids: dict[str, int], seconds: float) -> dict[str, float]:
    """Return what each process takes in percent of a core, measured at the same time."""
    before = {name: used(pid) for name, pid in pids.items()}
    time.sleep(seconds)
    return {name: 100 * (used(pid) - before[name]) / seconds for name, pid in pids.items()}


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with common.user() as user:
        context = Context(Paths.from_environ(user.environ), user.environ, user.project)
        with bottles(context) as slugs:
            open_windows(context, slugs)
            poll = context.workspace.server.argv("list-panes", "-a", "-F", "#{pane_id} #{pane_dead}")
            with (
                subprocess.Popen([sys.executable, "-c", POLL, *poll], env=user.environ) as peer,
                watched(context) as pid,
            ):
                found = percent({"dashboard": pid, "poll": peer.pid}, seconds)
                peer.kill()
    dashboard, floor = found["dashboard"], found["poll"]
    print(f"{BOTTLES} idle bottles (stand-ins of {PROCESSES} processes), {seconds:g} s")
    print(f"dashboard {dashboard:5.2f} % of a core")
    print(f"one list-panes a second {floor:5.2f} %: ratio {dashboard / max(floor, 0.01):.1f}")
    print(f"target <= {TARGET_PERCENT} %: {'met' if dashboard <= TARGET_PERCENT else 'MISSED'}")
    return common.exit_code([dashboard <= TARGET_PERCENT])


if __name__ == "__main__":
    sys.exit(main())
