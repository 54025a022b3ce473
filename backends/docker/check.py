"""Whether an image has what a bottle needs; asked once for each image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.docker.engine import explained
from bottlemux.errors import UsageError
from bottlemux.files import make_private_dir, write_atomic

if TYPE_CHECKING:
    from pathlib import Path

    from backends.docker.engine import Engine

PATIENCE_S = 60
_MEMORY = 512 << 20
_CPUS = 1_000_000_000
_PROCESSES = 64
_MAX_OUTPUT = "64k"
_NEEDED = ("sh", "git", "python3")
_SCRIPT = (
    "for name in " + " ".join(_NEEDED) + '; do command -v "$name" >/dev/null || echo "missing $name"; done; '
    "python3 -I -S -c 'import sys; print(\"python\", sys.executable)'"
)


def find_python(engine: Engine, image: str, cache: Path) -> str:
    """Return the path of the image's Python. An image that lacks what a bottle needs is a ``UsageError``."""
    known = cache / f"image-{engine.image_id(image).removeprefix('sha256:')[:32]}"
    if known.is_file():
        return known.read_text("utf-8")
    answers = [line.partition(" ") for line in output_of(engine, image, _SCRIPT).splitlines()]
    missing = [name for word, _, name in answers if word == "missing"]
    found = [path for word, _, path in answers if word == "python"]
    if missing or not found:
        raise UsageError(
            f"the image {image!r} lacks {', '.join(missing) or 'a working python3'}",
            hint="install them in its Dockerfile, or build it FROM our agent image",
        )
    make_private_dir(cache)
    write_atomic(known, found[0])
    return found[0]


def output_of(engine: Engine, image: str, script: str) -> str:
    """Run a shell ``script`` in a container of its own, and return what it printed, if that is not too much.

    The image may be anybody's, its shell too: it gets no network, little of the machine, and not much time.
    """
    with engine.translated(f"try the image {image}"):
        host = engine.api.create_host_config(
            network_mode="none", cap_drop=["ALL"], security_opt=["no-new-privileges:true"], read_only=True,
            mem_limit=_MEMORY, memswap_limit=_MEMORY, nano_cpus=_CPUS, pids_limit=_PROCESSES,
            log_config={"type": "json-file", "config": {"max-size": _MAX_OUTPUT, "max-file": "1"}},
        )  # fmt: skip
        container = engine.api.create_container(
            image, ["/bin/sh", "-c", script], entrypoint=[], host_config=host, healthcheck={"test": ["NONE"]}
        )["Id"]
        try:
            engine.api.start(container)
            _wait(engine, image, container)
            output: bytes = engine.api.logs(container, stdout=True, stderr=False)
            complaint: bytes = b"" if output else engine.api.logs(container, stdout=False, stderr=True)
        finally:
            engine.remove_container(container)
    if complaint:
        raise explained(f"run anything in the image {image}", complaint.decode(errors="replace"))
    return output.decode(errors="replace")


def _wait(engine: Engine, image: str, container: str) -> None:
    from requests.exceptions import RequestException

    try:
        engine.api.wait(container, timeout=PATIENCE_S)
    except RequestException as error:
        if not engine.api.inspect_container(container)["State"]["Running"]:
            raise
        raise UsageError(
            f"the image {image!r} does not say within {PATIENCE_S} s what it has: its sh, git or python3 hangs",
            hint="mend its Dockerfile, or build it FROM our agent image",
        ) from error
