"""From ``bottlemux start --yes --detach`` to the first request that passes egress, against ``srt true``.

    python bench/start.py [REPETITIONS]

The agent's program is a ``curl`` through the proxy, which intercepts TLS; the clock stops when the benchmark's own
upstream sees the request. Cold: not even the process that sidecars are forked from runs. Further: another bottle runs.
The peer is sandbox-runtime, which neither intercepts TLS nor opens a window: ``$BOTTLEMUX_BENCH_SRT``, or ``srt`` on
the PATH or in ``.cache/srt/node_modules/.bin`` of the checkout.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
from upstream import Upstream

HOST = "first.example.com"
COLD_TARGET = 3.0
FURTHER_TARGET = 0.7


def first_request(user: common.User, upstream: Upstream) -> float:
    """Return the seconds from the start of the command to the request at the upstream."""
    upstream.expect()
    began = time.perf_counter()
    command = user.argv("start", "first", "--yes", "--detach")
    with subprocess.Popen(command, cwd=user.project, env=user.environ, stdout=subprocess.DEVNULL) as starting:
        took = upstream.seen_at() - began
    if starting.returncode != 0:
        raise SystemExit(f"start ended with {starting.returncode}")
    return took


def cold(user: common.User, upstream: Upstream) -> float:
    user.forget()
    return first_request(user, upstream)


def further(user: common.User, upstream: Upstream) -> float:
    """Comes after a cold start, whose bottle is still there."""
    return first_request(user, upstream)


def find_srt() -> str | None:
    cached = common.ROOT / ".cache" / "srt" / "node_modules" / ".bin"
    named = os.environ.get("BOTTLEMUX_BENCH_SRT")
    return named or shutil.which("srt") or shutil.which("srt", path=str(cached))


def why_unusable(srt: str | None, user: common.User) -> str | None:
    if srt is None:
        return "srt is not installed (npm install -g @anthropic-ai/sandbox-runtime)"
    tried = subprocess.run(
        [srt, "true"], cwd=user.project, env=user.environ, capture_output=True, text=True, check=False
    )
    return f"srt does not work: {tried.stderr.strip()}" if tried.returncode else None


def define_agent(user: common.User, upstream: Upstream) -> None:
    route = f"{{host: {HOST}, upstream: '{upstream.address}', upstream_ca: {upstream.ca_file}}}"
    user.manifest("bottles", "first", f"backend: bubblewrap\negress:\n  routes:\n    - {route}")
    program = f'[/bin/sh, -c, "curl --silent https://{HOST}/; exec sleep 1000"]'
    user.manifest("agents", "first", f"bottle: first\nprogram: {program}")


def main() -> int:
    count = common.repetitions(7)
    with common.user() as user, tempfile.TemporaryDirectory() as name:
        upstream = Upstream(HOST, Path(name))
        define_agent(user, upstream)
        actions = {"cold": lambda: cold(user, upstream), "further": lambda: further(user, upstream)}
        srt = find_srt()
        unusable = why_unusable(srt, user)
        if srt is not None and unusable is None:
            peer = [srt, "true"]
            actions["srt"] = lambda: common.timed(
                lambda: common.run(peer, cwd=user.project, env=user.environ)
            )
        medians = common.interleaved(count, actions)
        upstream.close()
    print(f"start until the first request passed egress; medians of {count}, interleaved")
    common.milliseconds("cold", medians["cold"])
    common.milliseconds("further bottle", medians["further"])
    if unusable is not None:
        print(f"no peer to compare with: {unusable}")
        return 0
    common.milliseconds("srt true", medians["srt"])
    return common.exit_code(
        [
            common.verdict("cold / srt", medians["cold"] / medians["srt"], COLD_TARGET),
            common.verdict("further / srt", medians["further"] / medians["srt"], FURTHER_TARGET),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
