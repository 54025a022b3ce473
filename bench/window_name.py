"""How long after a hook of the agent's program the bottle's window shows its state, in a real bottle.

Run: python bench/window_name.py [ROUNDS]. The clock starts in the bottle, before the hook is started as Claude
Code starts it, and ends when tmux gives the window the new name. Target: median at most 0.5 s.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from backends.presets.claude import CLAUDE
from backends.presets.model import REPORTER
from bottlemux.lifecycle.context import Context
from bottlemux.lifecycle.watching import Watcher
from bottlemux.paths import Paths
from tests.e2e.world import World

TARGET_S = 0.5
EVENTS = (("Stop", "✓"), ("UserPromptSubmit", "»"))
# The hook's command may end the shell, so it has one of its own, as with Claude Code.
_SCRIPT = 'date +%s.%N; printf %s "$0" | sh -c "$1"'


def measure(world: World, slug: str, pane: str, number: int) -> float:
    event, mark = EVENTS[number % 2]
    payload = f'{{"hook_event_name": "{event}"}}'
    argv = world.argv("exec", slug, "--", "sh", "-c", _SCRIPT, payload, REPORTER)
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, cwd=world.project, env=world.environ
    ) as hook:
        assert hook.stdout is not None
        began = float(hook.stdout.readline())
        deadline = time.monotonic() + 20
        while not world.tmux("display-message", "-p", "-t", pane, "#{window_name}").startswith(mark):
            if time.monotonic() > deadline:
                raise SystemExit(f"the window never showed {event}")
        return time.time() - began


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as name:
        world = World(Path(name) / "user")
        stop = threading.Event()
        try:
            world.manifest("bottles", "plain", "backend: bubblewrap")
            program = Path(name) / "bin" / "claude"
            program.parent.mkdir()
            program.write_text("#!/bin/sh\nwhile :; do date; sleep 1; done\n")
            program.chmod(0o755)
            world.environ["PATH"] = f"{program.parent}:{world.environ['PATH']}"
            world.manifest("agents", "coder", f"bottle: plain\nprogram: {CLAUDE.name}")
            slug = world.start("coder")
            context = Context(Paths.from_environ(world.environ), world.environ, world.project, world.socket)
            watching = threading.Thread(target=Watcher(context).watch, args=(stop,))
            watching.start()
            pane = world.pane_id(slug)
            taken = [measure(world, slug, pane, number) for number in range(rounds + 2)][2:]
        finally:
            stop.set()
            world.close()
    median = statistics.median(taken)
    print(f"hook -> window name: median {median:.3f} s of {rounds}, most {max(taken):.3f} s")
    print(f"target <= {TARGET_S} s: {'met' if median <= TARGET_S else 'MISSED'}")
    return 0 if median <= TARGET_S else 1


if __name__ == "__main__":
    sys.exit(main())
