"""A Docker bottle's start and stop against the engine's own client doing the same amount of work, and its memory.

    DOCKER_HOST=$(scripts/docker-engine up) python bench/docker.py [REPETITIONS]

The images have to be built before (``bottlemux images build``).
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import common

if TYPE_CHECKING:
    from collections.abc import Callable

START_TARGET, STOP_TARGET, MEMORY_TARGET_MIB = 2.0, 2.0, 75 * 1.6
PAIR = (f"bmbench-{os.getpid()}-1", f"bmbench-{os.getpid()}-2")


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, check=True).stdout.decode()


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def bare_start(image: str) -> None:
    docker("network", "create", "--internal", PAIR[0])
    for name in PAIR:
        docker("run", "-d", "--network", PAIR[0], "--entrypoint", "sleep", "--name", name, image, "1000")


def bare_stop() -> None:
    docker("rm", "-f", *PAIR)


def memory_mib(container: str) -> float:
    """Return the proportional set size of a container's processes."""
    pids = docker("top", container, "-o", "pid").split()[1:]
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def main(repetitions: int) -> int:
    image = docker("images", "-q", "bottlemux/agent").split()[0]
    figures: dict[str, list[float]] = {
        name: [] for name in ("start", "bare start", "stop", "bare stop", "memory")
    }
    with tempfile.TemporaryDirectory() as root:
        user = common.User(Path(root))
        user.environ |= {name: os.environ[name] for name in ("DOCKER_HOST",) if name in os.environ}
        user.manifest("bottles", "dev", "backend: docker")
        user.manifest("agents", "dev", "bottle: dev\nprogram: [sleep, '1000']")
        try:
            for _ in range(repetitions):
                figures["start"].append(timed(lambda: first_request(user)))
                slug = user.run("list", "active").split("\t")[1]
                figures["memory"].append(memory_mib(f"bottlemux-{slug}-sidecars"))
                figures["stop"].append(timed(lambda slug=slug: user.run("stop", slug)))
                figures["bare start"].append(timed(lambda: bare_start(image)))
                figures["bare stop"].append(timed(bare_stop))
                docker("network", "rm", PAIR[0])
        finally:
            user.forget()
            with contextlib.suppress(subprocess.CalledProcessError):
                docker("rm", "-f", *PAIR)
    return report({name: statistics.median(values) for name, values in figures.items()})


def first_request(user: common.User) -> None:
    slug = user.start("dev")
    user.run("exec", slug, "--", "curl", "-sSf", "-o", "/dev/null", "http://_egress.local/routes")


def report(median: dict[str, float]) -> int:
    rows = [
        ("start until a request", median["start"] / median["bare start"], START_TARGET, "x"),
        ("stop", median["stop"] / median["bare stop"], STOP_TARGET, "x"),
        ("sidecars' memory", median["memory"], MEMORY_TARGET_MIB, " MiB"),
    ]
    for name, seconds in median.items():
        print(f"{name}: {seconds:.2f}")
    for name, value, target, unit in rows:
        print(f"{'ok  ' if value <= target else 'MISS'} {name}: {value:.2f}{unit}, to reach {target:g}{unit}")
    return 0 if all(value <= target for _, value, target, _ in rows) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
