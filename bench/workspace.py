"""Building 10 windows of 3 panes: bottlemux against ``tmuxp load -d`` of the same, in one interleaved run.

    python bench/workspace.py [REPETITIONS]

Each side gets a private tmux server of its own, with an empty home, that is started by the build and killed after it.
Two comparisons: whole processes, with interpreter and imports, and the building alone. For the latter bottlemux is a
call in a running program, and tmuxp's time is less that of ``tmuxp load --help``, which imports the same.
"""

from __future__ import annotations

import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bottlemux.session.layout_files import load_layout  # noqa: E402
from bottlemux.session.models import PaneSpec, WindowSpec  # noqa: E402
from bottlemux.session.server import TmuxServer  # noqa: E402
from bottlemux.session.workspace import Workspace  # noqa: E402

WINDOWS = 10
PANES = 3
TARGET_RATIO = 0.2
TARGET_PROCESSES = 10
SIZE = (200, 50)

type Environ = dict[str, str]


def specs() -> list[WindowSpec]:
    layout = load_layout(ROOT / "layouts" / "default.yaml").windows[0]
    panes = tuple(PaneSpec(pane.role_name, ("sleep", "1000")) for pane in layout.panes)
    return [WindowSpec(f"dev-{number:05d}", "dev", "bench", panes, layout) for number in range(WINDOWS)]


def tmuxp_file(directory: Path) -> Path:
    window = [
        "  - window_name: bottle",
        "    layout: main-vertical",
        "    panes:",
        *["      - shell: sleep 1000"] * PANES,
    ]
    path = directory / "bench.yaml"
    path.write_text("\n".join(["session_name: bottlemux", "windows:", *window * WINDOWS]) + "\n")
    return path


def new_server(environ: Environ) -> TmuxServer:
    return TmuxServer(f"bottlemux-bench-{secrets.token_hex(4)}", environ=environ)


def dispose(server: TmuxServer, environ: Environ) -> None:
    panes = server.batch([["list-panes", "-a", "-F", "#{pane_id}"]])
    assert len(panes) == WINDOWS * PANES, f"{len(panes)} panes were made"
    subprocess.run(server.argv("kill-server"), env=environ, check=True, timeout=10)
    server.socket_path.unlink(missing_ok=True)


def time_call(environ: Environ) -> float:
    server, wanted = new_server(environ), specs()
    started = time.perf_counter()
    Workspace(server, environ=environ).open_windows(wanted, size=SIZE)
    elapsed = time.perf_counter() - started
    dispose(server, environ)
    return elapsed


def time_process(argv: list[str], server: TmuxServer, environ: Environ) -> float:
    started = time.perf_counter()
    subprocess.run(argv, env=environ, check=True, capture_output=True, timeout=120)
    elapsed = time.perf_counter() - started
    dispose(server, environ)
    return elapsed


def time_own_process(environ: Environ) -> float:
    server = new_server(environ)
    return time_process([sys.executable, __file__, "--build", str(server._name)], server, environ)


def time_tmuxp(path: Path, environ: Environ) -> float:
    server = new_server(environ)
    tmuxp = str(Path(sys.executable).with_name("tmuxp"))
    return time_process([tmuxp, "load", "-d", "-y", "-L", str(server._name), str(path)], server, environ)


def time_tmuxp_start(environ: Environ) -> float:
    tmuxp = str(Path(sys.executable).with_name("tmuxp"))
    started = time.perf_counter()
    subprocess.run([tmuxp, "load", "--help"], env=environ, check=True, capture_output=True, timeout=120)
    return time.perf_counter() - started


def counting(directory: Path, environ: Environ) -> tuple[Environ, Path]:
    """Return an environment whose ``tmux`` notes each start in a file."""
    real = subprocess.run(["which", "tmux"], capture_output=True, text=True, check=True).stdout.strip()
    shims, log = directory / "shims", directory / "starts"
    shims.mkdir()
    (shims / "tmux").write_text(f'#!/bin/sh\necho >>{log}\nexec {real} "$@"\n')
    (shims / "tmux").chmod(0o755)
    return {**environ, "PATH": f"{shims}:{environ['PATH']}"}, log


def count(run: object, log: Path) -> int:
    log.write_text("")
    run()  # type: ignore[operator]
    return (
        len(log.read_text().splitlines()) - 2
    )  # the check and the end of the server are the benchmark's own


def main(repetitions: int) -> int:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        environ = {"HOME": name, "SHELL": "/bin/sh", "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        path = tmuxp_file(directory)
        rows: list[tuple[float, float, float, float]] = []
        for _ in range(repetitions):
            own = (time_call(environ), time_own_process(environ))
            rows.append((*own, time_tmuxp(path, environ), time_tmuxp_start(environ)))
        counted, log = counting(directory, environ)
        clients = count(lambda: time_call(counted), log)
        peer_clients = count(lambda: time_tmuxp(path, counted), log)
    call, process, peer, peer_start = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"{WINDOWS} windows x {PANES} panes, medians of {repetitions}, interleaved")
    print("                  tmuxp load -d    bottlemux   ratio")
    print(f"whole process     {peer * 1000:10.0f} ms {process * 1000:9.0f} ms {process / peer:7.2f}")
    built = peer - peer_start
    print(f"building alone    {built * 1000:10.0f} ms {call * 1000:9.0f} ms {call / built:7.2f}")
    print(f"tmux processes    {peer_clients:10d}    {clients:9d}")
    good = call / built <= TARGET_RATIO and clients <= TARGET_PROCESSES
    target = f"building <= {TARGET_RATIO} x with <= {TARGET_PROCESSES} processes"
    print(f"target: {target}: {'met' if good else 'MISSED'}")
    return 0 if good else 1


def build(socket_name: str) -> None:
    Workspace(TmuxServer(socket_name)).open_windows(specs(), size=SIZE)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--build"]:
        build(sys.argv[2])
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
