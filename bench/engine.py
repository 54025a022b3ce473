"""Docker bottles against the engine's own client, doing the least that would be needed, in turns.

    python bench/engine.py [REPETITIONS] [start|list|stop|memory ...]

Needs an engine (``scripts/docker-engine up``, its address in ``$DOCKER_HOST``) and the images (``bottlemux images
build``). On a busy machine the containers of an engine get a small share of it, which the bare ones do not need.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
from memory import MEBIBYTE, mitmproxy, size
from upstream import Upstream

HOST = "first.example.com"
START_TARGET, LIST_TARGET, STOP_TARGET, MEMORY_TARGET = 2.0, 1.5, 2.0, 1.6
BOTTLES = 20
PARTS = ("start", "list", "stop", "memory")
_NAMES = [f"bottlemux-bench-{os.getpid()}-{part}" for part in ("one", "two")]
_NETWORK = _NAMES[0]


def docker(user: common.User, *words: str) -> str:
    return common.run(["docker", *words], cwd=user.project, env=user.environ)


def bare_start(user: common.User, images: list[str]) -> float:
    """Return the seconds for a network and two containers that do nothing."""

    def start() -> None:
        docker(user, "network", "create", "--internal", _NETWORK)
        for name, image in zip(_NAMES, images, strict=True):
            docker(
                user,
                "run",
                "-d",
                "--network",
                _NETWORK,
                "--name",
                name,
                "--entrypoint",
                "sleep",
                image,
                "1000",
            )

    return common.timed(start)


def bare_stop(user: common.User) -> float:
    took = common.timed(lambda: docker(user, "rm", "-f", *_NAMES))
    docker(user, "network", "rm", _NETWORK)
    return took


def first_request(user: common.User, upstream: Upstream) -> float:
    """Return the seconds from the start of the command to the request at the upstream."""
    upstream.expect()
    began = time.perf_counter()
    command = user.argv("start", "first", "--yes", "--detach")
    with subprocess.Popen(
        command, cwd=user.project, env=user.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ):
        return upstream.seen_at() - began


def life(user: common.User, count: int, images: list[str]) -> list[bool]:
    """Measure start and stop: each bottle that was started is stopped."""
    gateway = "{{(index .IPAM.Config 0).Gateway}}"
    user.run("stop", user.start("idle"))
    address = docker(user, "network", "inspect", "-f", gateway, "bottlemux-outside").strip()
    with tempfile.TemporaryDirectory() as name:
        upstream = Upstream(HOST, Path(name), address)
        route = f"{{host: {HOST}, upstream: '{upstream.address}', upstream_ca: {upstream.ca_file}}}"
        user.manifest("bottles", "first", f"backend: docker\negress:\n  routes:\n    - {route}")
        medians = common.interleaved(
            count,
            {
                "start": lambda: first_request(user, upstream),
                "stop": lambda: common.timed(lambda: user.run("stop", "--all")),
                "bare start": lambda: bare_start(user, images),
                "bare stop": lambda: bare_stop(user),
            },
        )
        upstream.close()
    print(f"medians of {count}, interleaved")
    for label, value in medians.items():
        common.milliseconds(label, value)
    return [
        common.verdict(
            "start / two docker run -d and a network", medians["start"] / medians["bare start"], START_TARGET
        ),
        common.verdict("stop / docker rm -f of two", medians["stop"] / medians["bare stop"], STOP_TARGET),
    ]


def listing(user: common.User, count: int) -> bool:
    for _ in range(BOTTLES):
        user.start("idle")
    medians = common.interleaved(
        count,
        {
            "list active": lambda: common.timed(lambda: user.run("list", "active")),
            "docker ps": lambda: common.timed(lambda: docker(user, "ps")),
            "python -c pass": lambda: common.timed(lambda: common.run([sys.executable, "-c", "pass"])),
        },
    )
    for label, value in medians.items():
        common.milliseconds(f"{label}, {BOTTLES} bottles", value)
    ours = max(0.0, medians["list active"] - medians["python -c pass"])
    return common.verdict("(list - interpreter) / docker ps", ours / medians["docker ps"], LIST_TARGET)


def memory(user: common.User) -> bool:
    """Measure the sidecars' container of one bottle, on an engine of this machine."""
    slug = user.start("idle")
    top = docker(user, "top", f"bottlemux-{slug}-sidecars", "-o", "pid").split()[1:]
    ours = sum(size(int(pid)) for pid in top)
    plain = mitmproxy(user)
    print(f"{'sidecars of a bottle, PSS':<44} {ours / MEBIBYTE:8.1f} MiB")
    print(f"{'one mitmdump':<44} {plain / MEBIBYTE:8.1f} MiB")
    return common.verdict("sidecars / mitmdump", ours / plain, MEMORY_TARGET)


def main() -> int:
    parts = sys.argv[2:] or PARTS
    count = common.repetitions(7)
    with common.user() as user:
        user.environ |= {
            name: value for name, value in os.environ.items() if name.startswith(("DOCKER_", "BOTTLEMUX_B"))
        }
        user.manifest("bottles", "idle", "backend: docker")
        user.manifest("agents", "idle", "bottle: idle\nprogram: [sleep, '100000']")
        program = f'[/bin/sh, -c, "curl --silent https://{HOST}/; exec sleep 1000"]'
        user.manifest("agents", "first", f"bottle: first\nprogram: {program}")
        images = user.run("images", "build").split()
        verdicts: list[bool] = []
        if "start" in parts or "stop" in parts:
            verdicts += life(user, count, images)
        if "list" in parts:
            verdicts.append(listing(user, count))
        user.run("stop", "--all")
        if "memory" in parts:
            verdicts.append(memory(user))
    return common.exit_code(verdicts)


if __name__ == "__main__":
    sys.exit(main())
