"""Random sessions on a real tmux: saved, disarranged, given the saved layout, and saved again. How many are equal?

python bench/layouts.py [SESSIONS]
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import common
from tests.layouts.sessions import check_round_trip, context_in, sessions


def main(wanted: int) -> int:
    equal, panes = 0, 0
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "home").mkdir()
        environ = {
            "HOME": f"{name}/home",
            "SHELL": "/bin/sh",
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
        }
        socket = f"bottlemux-bench-{secrets.token_hex(4)}"
        context = context_in(Path(name), environ, socket)

        @settings(
            max_examples=wanted, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(layout=sessions(), seed=st.integers(0, 2**32))
        def check(layout: object, seed: int) -> None:
            nonlocal equal, panes
            check_round_trip(context, layout, seed)  # type: ignore[arg-type]
            equal += 1
            panes += sum(len(window.panes) for window in layout.windows)  # type: ignore[attr-defined]

        try:
            check()
        finally:
            tmux = ["tmux", "-L", socket, "kill-server"]
            subprocess.run(tmux, env=environ, check=False, capture_output=True, timeout=common.TIMEOUT_S)
    print(
        f"save -> apply -> save: {equal} of {wanted} random sessions equal, {panes} panes, no process ended"
    )
    return 0 if equal >= wanted else 1


if __name__ == "__main__":
    sys.exit(main(common.repetitions(200)))
