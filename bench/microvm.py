"""Our share of a microVM bottle's start, all but smolvm's boot, against the start of a bubblewrap bottle.

    python bench/microvm.py [REPETITIONS]

Each ``start --yes --detach`` comes while another bottle of its backend runs. A program in front of smolvm writes down
from when to when each of its calls ran. What anybody who boots a machine has to call, ``create`` and ``start``, is
smolvm's; every other call is ours, as is all time in which none was running. The machine's image is a root file system
in the directory ``$BOTTLEMUX_TEST_MACHINE_IMAGE``. Needs KVM, smolvm, bubblewrap, and a user who is not root.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import common

TARGET = 1.2
BOOT = ("create", "start")
FRONT = """\
#!/bin/bash
began=$EPOCHREALTIME
{smolvm} "$@"
code=$?
echo "$began $EPOCHREALTIME $*" >>{log}
exit $code
"""


@dataclass(frozen=True)
class Call:
    """One call of smolvm: what for, and from when to when, in seconds since the epoch."""

    verb: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass
class Taken:
    """The starts of microVM bottles so far: seconds of smolvm's boot and of its other calls; the last one's verbs."""

    boot: list[float] = field(default_factory=list[float])
    further: list[float] = field(default_factory=list[float])
    verbs: str = ""


def calls_in(log: Path) -> list[Call]:
    return [_call(line.split()) for line in log.read_text().splitlines()]


def _call(words: list[str]) -> Call:
    began, ended, *arguments = words
    asked = [word for word in arguments if word in ("--help", "--version")]
    verb = asked[0] if asked else arguments[arguments.index("machine") + 1]
    return Call(verb, float(began), float(ended))


def timed_start(user: common.User, agent: str) -> tuple[str, float]:
    began = time.perf_counter()
    slug = user.start(agent)
    return slug, time.perf_counter() - began


def start_heavy(user: common.User, log: Path, taken: Taken) -> float:
    """Return the seconds of a microVM bottle's start that are ours."""
    log.unlink(missing_ok=True)
    slug, seconds = timed_start(user, "heavy")
    calls = calls_in(log)
    taken.boot.append(sum(call.seconds for call in calls if call.verb in BOOT))
    taken.further.append(sum(call.seconds for call in calls if call.verb not in BOOT))
    taken.verbs = " ".join(call.verb for call in calls)
    user.run("stop", slug)
    return seconds - taken.boot[-1]


def start_light(user: common.User) -> float:
    slug, seconds = timed_start(user, "light")
    user.run("stop", slug)
    return seconds


def measure(user: common.User, log: Path, repetitions: int) -> bool:
    taken = Taken()
    for agent in ("light", "heavy"):
        user.start(agent)
    actions = {"ours": lambda: start_heavy(user, log, taken), "peer": lambda: start_light(user)}
    medians = common.interleaved(repetitions, actions)
    print(f"calls of smolvm: {taken.verbs}")
    common.milliseconds("smolvm's boot: create and start", statistics.median(taken.boot[1:]))
    common.milliseconds("its other calls, which are ours", statistics.median(taken.further[1:]))
    common.milliseconds("our share of a microVM bottle's start", medians["ours"])
    common.milliseconds("start of a bubblewrap bottle", medians["peer"])
    return common.verdict("our share / bubblewrap's start", medians["ours"] / medians["peer"], TARGET)


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
