"""How long after the operator's approval the agent's same request passes, in a real bottle.

Run: python bench/approval.py [ROUNDS]. The clock starts before the approving command is started and ends when the
request, which the bottle repeats without a pause, is answered by the upstream. Target: median at most 1 s.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.approvals.mcp_call import SCRIPT
from tests.e2e.world import World
from tests.egress.support import Upstream

HOST = "files.example.com"
_REPEAT = 'while [ "$(curl -s -o /dev/null -w "%{http_code}" "$0")" != 200 ]; do :; done; date +%s.%N'


def measure(world: World, slug: str, number: int) -> float:
    path = f"/round-{number}/"
    ask = {"host": HOST, "scheme": "http", "paths": [path], "reason": "a benchmark"}
    asked = json.loads(
        world.run("exec", slug, "--", "sh", "-s", "egress-block", json.dumps(ask), stdin=SCRIPT)
    )
    repeating = subprocess.Popen(
        world.argv("exec", slug, "--", "sh", "-c", _REPEAT, f"http://{HOST}{path}"),
        stdout=subprocess.PIPE, env=world.environ, cwd=world.project,
    )  # fmt: skip
    blocked = len(world.audit(slug))
    while len(world.audit(slug)) < blocked + 2:
        time.sleep(0.01)
    began = time.time()
    world.run("approvals", "approve", asked["id"])
    assert repeating.stdout is not None
    passed = float(repeating.stdout.read())
    repeating.wait()
    return passed - began


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        upstream = Upstream(Path(directory))
        world = World(Path(directory) / "user")
        route = f"{{host: {HOST}, scheme: http, paths: [/open/], upstream: {upstream.address}}}"
        world.manifest("bottles", "dev", f"egress: {{routes: [{route}]}}")
        world.manifest("agents", "shell", "bottle: dev\nprogram: [bash, -l]")
        try:
            slug = world.start("shell")
            found = sorted(measure(world, slug, number) for number in range(rounds))
        finally:
            world.close()
            upstream.close()
    print(
        f"approve -> passes: median {statistics.median(found):.3f} s, worst {found[-1]:.3f} s, {rounds} rounds"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
