"""What a sidecar has of the process it was forked from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

# In a process of its own: a fork of the tests would have their threads' locks.
START = """
import json, os, socket, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from sidecars import services
services.MODULES.update(dict.fromkeys(("first", "second"), "tests.sidecars.idle"))
launcher, supervisor = socket.socketpair()
lock = open(Path(sys.argv[2]) / "lock", "w")
pipe = os.pipe()
listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in ("first", "second", "third")}
started = services.Services(Path(sys.argv[2]), print)

def names(pid):
    found = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append((int(number), os.readlink(f"/proc/{pid}/fd/{number}")))
        except FileNotFoundError:
            pass
    return {name for number, name in found if number > 2}

own = {name: os.readlink(f"/proc/self/fd/{listeners[name].fileno()}") for name in ("first", "second")}
mine = names("self")
started.start(dict.fromkeys(own), listeners)
kept = {name: sorted(mine & names(state["pid"])) for name, state in started.states().items()}
started.end()
print(json.dumps([kept, own]))
"""


def test_a_sidecar_has_its_listener_and_nothing_else(tmp_path: Path) -> None:
    """Whoever launched the bottle learns of its supervisor's end by the end of the connection between them."""
    root = str(Path(__file__).parents[2])
    argv = [sys.executable, "-c", START, root, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    kept, own = json.loads(done.stdout.splitlines()[-1])
    assert kept == {name: [listener] for name, listener in own.items()}
