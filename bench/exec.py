"""``bottlemux exec SLUG -- true`` in a bubblewrap bottle against ``docker exec CONTAINER true`` on the same machine.

    python bench/exec.py [REPETITIONS]

Run as root, the benchmark starts an engine of its own (docker.io, iptables) with a container that holds nothing but a
static busybox (busybox-static); another engine is used where ``$DOCKER_HOST`` names one.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import common

if TYPE_CHECKING:
    from collections.abc import Generator

TARGET = 0.3
IMAGE = "bottlemux-bench:busybox"
CONTAINER = f"bottlemux-bench-{os.getpid()}"


def why_no_engine() -> str | None:
    """Return what is missing for a comparison."""
    if shutil.which("docker") is None:
        return "no docker client (apt-get install docker.io)"
    if shutil.which("busybox") is None:
        return "no static busybox (apt-get install busybox-static)"
    if os.environ.get("DOCKER_HOST"):
        return None
    if os.geteuid() != 0:
        return "not root, so no engine can be started, and DOCKER_HOST names none"
    missing = [name for name in ("dockerd", "iptables") if shutil.which(name, path=_search_path()) is None]
    return f"no {' and no '.join(missing)} (apt-get install docker.io iptables)" if missing else None


def _search_path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


@contextlib.contextmanager
def engine() -> Generator[list[str]]:
    """Yield the command of a docker client whose engine runs the container."""
    with contextlib.ExitStack() as stack:
        own = [] if os.environ.get("DOCKER_HOST") else ["-H", stack.enter_context(own_engine())]
        client = ["docker", *own]
        importing = [*client, "import", "-", IMAGE]
        image = subprocess.run(importing, input=root_files(), capture_output=True, check=False)
        if image.returncode != 0:
            raise SystemExit(f"docker import failed: {image.stderr.decode()}")
        common.run([*client, "run", "-d", "--network", "none", "--name", CONTAINER, IMAGE, "sleep", "100000"])
        stack.callback(common.run, [*client, "rm", "-f", CONTAINER])
        yield client


@contextlib.contextmanager
def own_engine() -> Generator[str]:
    """Yield the address of an engine with directories of its own; it ends with its containers."""
    with tempfile.TemporaryDirectory() as name:
        address = f"unix://{name}/engine.sock"
        command = ["dockerd", "--data-root", f"{name}/data", "--exec-root", f"{name}/exec", "-p", f"{name}/pid",
                   "--bridge", "none", "--iptables=false", "-H", address]  # fmt: skip
        with Path(name, "log").open("wb") as log:
            daemon = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "PATH": _search_path()}
            )
        try:
            common.until(lambda: _answers(address) or daemon.poll() is not None, "the engine")
            if daemon.poll() is not None:
                raise SystemExit(f"dockerd ended: {Path(name, 'log').read_text()[-2000:]}")
            yield address
        finally:
            daemon.terminate()
            daemon.wait(common.TIMEOUT_S)


def _answers(address: str) -> bool:
    asked = subprocess.run(["docker", "-H", address, "version"], capture_output=True, check=False)
    return asked.returncode == 0


def root_files() -> bytes:
    """Return an archive of a root file system: one static program under two names."""
    found = shutil.which("busybox")
    assert found is not None
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("true", "sleep"):
            archive.add(os.path.realpath(found), f"bin/{name}")
    return buffer.getvalue()


def main() -> int:
    count = common.repetitions(20)
    missing = why_no_engine()
    with contextlib.ExitStack() as stack:
        user = stack.enter_context(common.user())
        user.manifest("bottles", "plain", "backend: bubblewrap")
        user.manifest("agents", "plain", "bottle: plain\nprogram: [sleep, '100000']")
        slug = user.start("plain")
        actions = {"ours": lambda: common.timed(lambda: user.run("exec", slug, "--", "true"))}
        if missing is None:
            peer = [*stack.enter_context(engine()), "exec", CONTAINER, "true"]
            actions["docker"] = lambda: common.timed(lambda: common.run(peer))
        medians = common.interleaved(count, actions)
    print(f"exec of 'true'; medians of {count}, interleaved")
    common.milliseconds("bottlemux exec", medians["ours"])
    if missing is not None:
        print(f"no peer to compare with: {missing}")
        return 0
    common.milliseconds("docker exec", medians["docker"])
    return common.exit_code([common.verdict("ratio", medians["ours"] / medians["docker"], TARGET)])


if __name__ == "__main__":
    sys.exit(main())
