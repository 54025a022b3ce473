"""``bottlemux resume --all`` of 10 bubblewrap bottles, against their ``start`` one by one.

    python bench/resume.py [REPETITIONS]

After ``tmux kill-server``, when bottles and sidecars live on, and after everything of the user's was killed, as a
reboot would. The clock stops when the command has ended: all windows are there, and each agent's program runs in its.
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import sys

import common

BOTTLES = 10
TARGET = 0.3


def start_all(user: common.User) -> float:
    return common.timed(lambda: [user.start("shell") for _ in range(BOTTLES)])


def resume_all(user: common.User) -> float:
    took = common.timed(lambda: user.run("resume", "--all", "--detach"))
    tmux = [
        "tmux",
        "-L",
        user.environ["BOTTLEMUX_TMUX_SOCKET"],
        "list-panes",
        "-a",
        "-F",
        "#{pane_dead} #{@bottlemux_role}",
    ]
    panes = common.run(tmux, env=user.environ).splitlines()
    if panes.count("0 agent") != BOTTLES:
        raise SystemExit(f"not all came back: {panes}")
    return took


def kill_tmux(user: common.User) -> None:
    common.run(["tmux", "-L", user.environ["BOTTLEMUX_TMUX_SOCKET"], "kill-server"], env=user.environ)


def kill_everything(user: common.User) -> None:
    while pids := user.processes():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def forget(user: common.User) -> None:
    for line in user.run("list", "active").splitlines():
        user.run("stop", line.split("\t")[1])
        user.run("rm", line.split("\t")[1])
    user.forget()


def main() -> int:
    taken: dict[str, list[float]] = {"start": [], "tmux": [], "everything": []}
    count = common.repetitions(3)
    with common.user() as user:
        user.manifest("bottles", "plain", "backend: bubblewrap")
        user.manifest("agents", "shell", "bottle: plain\nprogram: [bash, -l]")
        for _ in range(count):
            taken["start"].append(start_all(user))
            kill_tmux(user)
            taken["tmux"].append(resume_all(user))
            kill_everything(user)
            taken["everything"].append(resume_all(user))
            forget(user)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    print(f"{BOTTLES} bubblewrap bottles; medians of {count}")
    common.milliseconds("start, one by one", medians["start"])
    common.milliseconds("resume --all after tmux kill-server", medians["tmux"])
    common.milliseconds("resume --all after everything was killed", medians["everything"])
    ratio = medians["everything"] / medians["start"]
    print(f"{'everything killed / start':<44} {ratio:8.2f} x   no target")
    return common.exit_code(
        [common.verdict("resume --all / start", medians["tmux"] / medians["start"], TARGET)]
    )


if __name__ == "__main__":
    sys.exit(main())
