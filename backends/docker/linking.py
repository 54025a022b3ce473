"""Starting and ending the process that holds a bottle of an engine elsewhere."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from backends.docker.endpoint import client_environ
from bottlemux.errors import BottlemuxError
from bottlemux.files import write_json
from bottlemux.state.liveness import process_start, read_link

if TYPE_CHECKING:
    from bottlemux.paths import BottlePaths

START_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 5.0
_POLL_S = 0.02


def start(files: BottlePaths, slug: str, endpoint: str, lock: int) -> None:
    """Start the link, which gets ``lock``, and return once it has heard of the sidecars.

    When that fails, :func:`end` ends it.
    """
    command = [sys.executable, "-I", "-m", "backends.docker.link"]
    with (files.logs / "link.log").open("ab") as log:
        link = subprocess.Popen(
            [*command, str(files.state), str(files.runtime), slug, endpoint], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=log, env=client_environ(), pass_fds=(lock,), start_new_session=True,
            cwd="/",
        )  # fmt: skip
    with link:
        _expect_linked(link)


def _expect_linked(link: subprocess.Popen[bytes]) -> None:
    said = ""
    if link.stdout is not None and select.select([link.stdout], [], [], START_TIMEOUT_S)[0]:
        said = link.stdout.readline().decode(errors="replace").strip() or "its link ended"
    if said != "linked":
        reason = said or f"nothing was heard for {START_TIMEOUT_S:g} s"
        raise BottlemuxError(f"the bottle runs, but is out of reach: {reason}")


def end(files: BottlePaths) -> None:
    """End the link of a bottle, if one runs, and note that none is to be expected. Idempotent."""
    known = read_link(files)
    pid = known.get("pid", 0)
    if pid and process_start(pid) == known.get("start"):
        _end_process(pid, known["start"])
    if known:
        write_json(files.link, {**known, "pid": 0})


def _end_process(pid: int, started: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + _END_TIMEOUT_S
        while time.monotonic() < deadline:
            if process_start(pid) != started:
                return
            time.sleep(_POLL_S)
