"""What it costs to know how 30 bottles do: a look of the collector against one ``list-panes -a``.

python bench/status.py [REPETITIONS]
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import common

from bottlemux.lifecycle.context import Context
from bottlemux.lifecycle.status import Collector
from bottlemux.lifecycle.watching import Watcher
from bottlemux.paths import Paths
from bottlemux.session.listing import LIST_COMMAND
from sidecars.supervise.activity import Event, after

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET = 1.5
BOTTLES = 30
SETTLED_S = 12.0


def cpu_s() -> float:
    """Return the CPU time of this process and of the clients it waited for."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def spent(action: Callable[[], object]) -> float:
    """Return how much CPU ``action`` took, once its caches are warm."""
    began = cpu_s()
    action()
    return cpu_s() - began


def report(user: common.User, slug: str) -> None:
    """Let a bottle have the state that a program which finished its turn reports."""
    activity = after(None, Event("Stop", session="s"), time.time())
    (Path(user.state) / "bottles" / slug / "activity.json").write_text(json.dumps(activity.to_json()))


def main() -> int:
    count = common.repetitions(100)
    with common.user() as user:
        user.manifest("bottles", "plain", "backend: bubblewrap")
        user.manifest("agents", "plain", "bottle: plain\nprogram: [sleep, '100000']\nlayout: solo")
        slugs = [user.start("plain") for _ in range(BOTTLES)]
        for slug in slugs:
            report(user, slug)
        context = Context(
            Paths.from_environ(user.environ),
            user.environ,
            user.project,
            user.environ["BOTTLEMUX_TMUX_SOCKET"],
        )
        collector, watcher = Collector(context), Watcher(context)
        watcher.look()
        time.sleep(SETTLED_S)
        server = context.workspace.server
        rows = collector.collect()
        assert [row.state for row in rows] == ["finished"] * BOTTLES, rows[:2]
        medians = common.interleaved(
            count,
            {
                "look": lambda: spent(collector.collect),
                "poll": lambda: spent(lambda: server.batch([LIST_COMMAND])),
                "changed": lambda: common.timed(watcher.changed),
            },
        )
    print(
        f"{BOTTLES} bottles, states only; medians of {count}, interleaved, CPU of ours and of tmux's client"
    )
    common.milliseconds("a look", medians["look"])
    common.milliseconds("one list-panes -a", medians["poll"])
    common.milliseconds("asking files whether anything changed", medians["changed"])
    return common.exit_code([common.verdict("ratio", medians["look"] / medians["poll"], TARGET)])


if __name__ == "__main__":
    sys.exit(main())
