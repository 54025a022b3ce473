"""What a further idle bottle takes in memory, without its agent, against one idle mitmproxy process.

    python bench/memory.py [BOTTLES]

Memory is PSS: of a page that several processes share each counts its part. All processes of the user are added up, the
agents' programs and the tmux server excepted; what that sum grows by from the second bottle to the last is divided by
the number of bottles in between. So the pages that a bottle takes over from the others count once, not each time.
The proxy is measured as if it were alone on the machine, where its PSS is its RSS: others may run here just now.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import common

TARGET = 0.4
AGENT = "100000"
MEBIBYTE = 1 << 20
CALM_SECONDS = 4


def size(pid: int, which: str = "Pss") -> int:
    """Return the proportional set size of a process, or another one, in bytes; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(f"{which}:"))


def kind(pid: int) -> str:
    """Say in a word what a process is for."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return "gone"
    known = {"backends.bubblewrap.enter": "pane client", "audit": "audit pane", "sidecars.zygote": "zygote"}
    if name.startswith("bm-"):
        return name
    if words[:2] == ["sleep", AGENT]:
        return "agent"
    if words[0].endswith("bash"):
        return "shell pane"
    if any(word.endswith("init.pyc") for word in words) and not words[0].endswith("bwrap"):
        return "process 1"
    return next((text for word, text in known.items() if word in words), name)


def settled(user: common.User) -> Counter[str]:
    """Return the memory by kind of process, once it has stopped changing: the zygote loads some things later."""
    last: Counter[str] = Counter()
    calm = 0
    for _ in range(60):
        now: Counter[str] = Counter()
        for pid in user.family():
            now[kind(pid)] += size(pid)
        calm = calm + 1 if abs(now.total() - last.total()) < MEBIBYTE // 2 else 0
        if calm == CALM_SECONDS:
            break
        last = now
        time.sleep(1.0)
    return now


def mitmproxy(user: common.User) -> int:
    """Return the memory of one plain proxy that nobody uses."""
    with tempfile.TemporaryDirectory() as name:
        log = Path(name, "log")
        command = [str(Path(sys.executable).with_name("mitmdump")), "--listen-host", "127.0.0.1", "-p", "0"]
        with log.open("wb") as output, subprocess.Popen(
            command, stdout=output, stderr=output, env={**user.environ, "PYTHONUNBUFFERED": "1"}
        ) as proxy:  # fmt: skip
            try:
                common.until(lambda: "listening" in log.read_text(), "mitmdump")
                return size(proxy.pid, "Rss")
            finally:
                proxy.terminate()


def main() -> int:
    count = max(3, common.repetitions(8))
    with common.user() as user:
        plain = mitmproxy(user)
        user.manifest("bottles", "plain", "backend: bubblewrap")
        user.manifest("agents", "plain", f"bottle: plain\nprogram: [sleep, '{AGENT}']")
        readings: list[Counter[str]] = []
        for number in range(1, count + 1):
            user.start("plain")
            if number == 1:
                settled(user)
            if number in {2, count}:
                readings.append(settled(user))
    first, last = readings
    print(f"a further idle bottle, from 2 to {count}; PSS in MiB")
    further: dict[str, float] = {}
    for name in sorted(last):
        if name not in {"agent", "gone"} and not name.startswith("tmux"):
            further[name] = (last[name] - first[name]) / (count - 2)
            print(f"  {name:<42} {further[name] / MEBIBYTE:8.1f}")
    print(f"{'together':<44} {sum(further.values()) / MEBIBYTE:8.1f}")
    print(f"{'one mitmdump':<44} {plain / MEBIBYTE:8.1f}")
    return common.exit_code([common.verdict("ratio", sum(further.values()) / plain, TARGET)])


if __name__ == "__main__":
    sys.exit(main())
