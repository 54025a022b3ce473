"""Our share of a microVM bottle's start, all but what smolvm itself takes, against the start of a bubblewrap bottle.

    python bench/microvm.py [REPETITIONS]

Each ``start --yes --detach`` comes while another bottle of its backend runs. A program in front of smolvm writes down
from when to when each of its calls ran; what no call was running for is ours. The machine's image is a root file system
in the directory ``$BOTTLEMUX_TEST_MACHINE_IMAGE``. Needs KVM, smolvm, bubblewrap, and a user who is not root.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import common

TARGET = 1.2
FRONT = """\
#!/bin/sh
began=$(date +%s.%N)
{smolvm} "$@"
code=$?
echo "$began $(date +%s.%N)" >>{log}
exit $code
"""


def covered(spans: list[tuple[float, float]], began: float, ended: float) -> float:
    """Return for how many seconds between the two times at least one of ``spans`` was running."""
    total, reached = 0.0, began
    for span in sorted(spans):
        first, last = max(span[0], reached), min(span[1], ended)
        if last > first:
            total, reached = total + last - first, last
    return total


def spans_in(log: Path) -> list[tuple[float, float]]:
    lines = log.read_text().splitlines() if log.exists() else []
    return [(float(first), float(last)) for first, last in (line.split() for line in lines)]


def start(user: common.User, agent: str, log: Path) -> tuple[float, float]:
    """Return the seconds of a start that are ours, and those of smolvm."""
    log.unlink(missing_ok=True)
    began = time.time()
    slug = user.start(agent)
    ended = time.time()
    theirs = covered(spans_in(log), began, ended)
    user.run("stop", slug)
    return ended - began - theirs, theirs


def measure(user: common.User, log: Path, repetitions: int) -> bool:
    theirs: list[float] = []

    def heavy() -> float:
        ours, smolvm = start(user, "heavy", log)
        theirs.append(smolvm)
        return ours

    for agent in ("light", "heavy"):
        user.start(agent)
    taken = common.interleaved(repetitions, {"ours": heavy, "peer": lambda: start(user, "light", log)[0]})
    common.milliseconds("smolvm itself", statistics.median(theirs))
    common.milliseconds("our share of a microVM bottle's start", taken["ours"])
    common.milliseconds("start of a bubblewrap bottle", taken["peer"])
    return common.verdict("our share / bubblewrap's start", taken["ours"] / taken["peer"], TARGET)


def main() -> int:
    common.TIMEOUT_S = 600.0  # an emulated processor is slow
    smolvm = shutil.which("smolvm")
    if smolvm is None or os.getuid() == 0 or not os.access("/dev/kvm", os.W_OK):
        print("needs smolvm on the PATH, /dev/kvm, and a user who is not root")
        return 1
    # A socket's name may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="bm-", dir="/tmp") as directory:
        root = Path(directory)
        front = root / "bin" / "smolvm"
        front.parent.mkdir()
        front.write_text(FRONT.format(smolvm=smolvm, log=root / "calls"))
        front.chmod(0o755)
        user = common.User(root / "u")
        user.environ["PATH"] = f"{front.parent}:{user.environ['PATH']}"
        user.environ["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        user.environ["SMOLVM_AGENT_READY_TIMEOUT_SECS"] = "240"
        image = os.environ.get("BOTTLEMUX_TEST_MACHINE_IMAGE", "/srv/image")
        small = "resources: {cpus: 1, memory: 768m}"
        user.manifest("bottles", "vm", f"backend: smolmachines\nimage: {image}\n{small}")
        user.manifest("bottles", "ns", "backend: bubblewrap")
        user.manifest("agents", "heavy", "bottle: vm\nprogram: [bash, -l]\nworkspace: copy")
        user.manifest("agents", "light", "bottle: ns\nprogram: [bash, -l]\nworkspace: copy")
        try:
            return 0 if measure(user, root / "calls", common.repetitions(3)) else 1
        finally:
            user.forget()


if __name__ == "__main__":
    sys.exit(main())
