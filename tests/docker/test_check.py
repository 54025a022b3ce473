"""Looking at an image that may be anybody's: what its programs do is bounded, and nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backends.docker import check, images
from backends.docker.endpoint import find_endpoint
from backends.docker.engine import Engine
from backends.docker.names import SIDECARS
from bottlemux.errors import BottlemuxError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.docker

BASE = os.environ.get("BOTTLEMUX_BASE_IMAGE", "debian:stable-slim")


@pytest.fixture
def engine() -> Engine:
    return Engine(find_endpoint())


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, check=True, timeout=60).stdout.decode()


def left(image: str) -> str:
    return docker("ps", "-aq", "--filter", f"ancestor={image}")


@pytest.fixture
def made(engine: Engine, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Yield what makes an image with more lines of a Dockerfile on top of the base."""
    tags: list[str] = []

    def make(*lines: str) -> str:
        (tmp_path / "Dockerfile").write_text("\n".join([f"FROM {BASE}", *lines, ""]))
        tags.append(images.ensure(engine, images.directory_source(tmp_path), lambda _line: None))
        return tags[-1]

    yield make
    docker("rmi", *tags)


def test_a_flood_is_bounded(
    engine: Engine, made: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell that never stops printing fills no disk of the engine's, and is not waited for."""
    monkeypatch.setattr(check, "PATIENCE_S", 3)
    flood = (
        "RUN printf '#!/bin/bash\\nexec yes flood\\n' >/opt/sh && chmod 755 /opt/sh && ln -sf /opt/sh /bin/sh"
    )
    image = made(flood)
    with sampled(image) as sizes, pytest.raises(UsageError, match="does not say within 3 s"):
        check.find_python(engine, image, tmp_path / "cache")
    assert left(image) == ""
    if os.getuid() == 0:
        assert 0 < max(sizes) < 1 << 20, "what it printed was kept"


@contextlib.contextmanager
def sampled(image: str) -> Iterator[list[int]]:
    """Yield a list that gets the size, again and again, of what the engine keeps of a container's output."""
    sizes: list[int] = []
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(0.05):
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                logs = docker("inspect", "-f", "{{.LogPath}}", *left(image).split()).split()
                sizes.extend(Path(log).stat().st_size for log in logs)

    sampling = threading.Thread(target=sample)
    sampling.start()
    try:
        yield sizes
    finally:
        ended.set()
        sampling.join()


def test_its_own_entry_point_does_not_run(engine: Engine, made: Callable[..., str], tmp_path: Path) -> None:
    image = made('ENTRYPOINT ["yes", "flood"]', "VOLUME /data", "HEALTHCHECK CMD sleep 9")
    volumes = docker("volume", "ls", "-q")
    with pytest.raises(UsageError, match="lacks git, python3"):
        check.find_python(engine, image, tmp_path / "cache")
    assert left(image) == ""
    assert docker("volume", "ls", "-q") == volumes


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("python3 -c 'x = b\"x\" * (1 << 30)'; echo $?", "137\n"),
        ("(for i in $(seq 200); do sleep 1 & done; echo all) 2>&1 | tail -n 1", "fork"),
        ("(echo x >/var/tmp/x) 2>&1", "Read-only"),
        ("wc -l </proc/net/route", "1\n"),
    ],
    ids=["memory", "processes", "disk", "network"],
)
def test_what_it_may_have(engine: Engine, script: str, said: str) -> None:
    image = images.ensure(engine, images.own_source(SIDECARS), lambda _line: None)
    assert said in check.output_of(engine, image, script)


def test_an_engine_that_goes_away_is_not_blamed_on_the_image(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = images.ensure(engine, images.own_source(SIDECARS), lambda _line: None)
    ended = {"State": {"Running": False}}
    monkeypatch.setattr(check, "PATIENCE_S", 1)
    monkeypatch.setattr(engine.api, "inspect_container", lambda _container: ended)
    with pytest.raises(BottlemuxError, match="does not answer"):
        check.output_of(engine, image, "sleep 9")
