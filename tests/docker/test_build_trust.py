"""What an operator allows, built behind a proxy that intercepts TLS: its steps trust that one, its image does not."""

from __future__ import annotations

import gzip
import json
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from backends.docker import images
from backends.docker.endpoint import find_endpoint
from backends.docker.engine import Engine
from backends.docker.names import SIDECARS
from bottlemux.approvals.dockerfile import render
from bottlemux.errors import BottlemuxError
from sidecars.supervise.proposal import Proposal
from tests.egress.support import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.docker

FETCH = "import sys, urllib.request as web; sys.stdout.write(web.urlopen(sys.argv[1]).read().decode())"


@pytest.fixture
def engine() -> Engine:
    return Engine(find_endpoint())


@pytest.fixture
def proxied(engine: Engine, tmp_path: Path) -> Iterator[Upstream]:
    """Yield a server whose authority nobody trusts, where a build's containers reach it."""
    gateway = engine.api.inspect_network("bridge")["IPAM"]["Config"][0]["Gateway"]
    server = Upstream(tmp_path, gateway, place=gateway)
    yield server
    server.close()


def build(engine: Engine, directory: Path, *lines: str) -> str:
    """Build what an operator allowed, as a launch does, on top of the smaller of our images; return its image."""
    asked = Proposal(
        "shell-00000", "capability", {"packages": [], "dockerfile_lines": list(lines)}, "because"
    )
    return images.for_bottle(engine, SIDECARS, directory, lambda _line: None, render([asked]), "tests")


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, check=True, timeout=60).stdout.decode()


def test_its_steps_trust_the_authorities_of_a_build(
    engine: Engine, proxied: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOTTLEMUX_BUILD_CA", str(proxied.ca_file))
    url = f"https://{proxied.address}/"
    image = build(
        engine, tmp_path, f"RUN python3 -c '{FETCH}' {url} >/opt/got", f"RUN git ls-remote {url} || true"
    )
    try:
        programs = {request.header("user-agent")[0].partition("/")[0] for request in proxied.requests}
        assert programs == {"Python-urllib", "git"}
        assert docker("run", "--rm", "--entrypoint=cat", image, "/opt/got") == "ok"
        assert_not_trusted(image, proxied.ca_file.read_bytes(), tmp_path)
    finally:
        docker("rmi", image)


def assert_not_trusted(image: str, authority: bytes, directory: Path) -> None:
    """Look for the certificate in every file of every layer, and for what names it in the image's own settings."""
    (facts,) = json.loads(docker("inspect", image))
    settings = json.dumps(facts["Config"])
    assert "extra.pem" not in settings
    assert "CA_BUNDLE" not in settings
    docker("save", "-o", str(directory / "image.tar"), image)
    body = authority.splitlines()[1]
    with tarfile.open(directory / "image.tar") as saved:
        contents = (content(saved, one) for one in saved if one.isreg())
        # Not in the settings: they quote the arguments of a build, and no bottle sees them.
        found = [body in data for data in contents if data[257:262] == b"ustar"]
    assert len(found) > 2
    assert not any(found)


def content(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    """Return a file of an image that was saved; some engines save compressed layers."""
    stream = archive.extractfile(entry)
    data = stream.read() if stream else b""
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def test_without_them_it_fails_and_says_what_to_do(
    engine: Engine, proxied: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BOTTLEMUX_BUILD_CA", raising=False)
    with pytest.raises(BottlemuxError, match="certificate") as caught:
        build(engine, tmp_path, f"RUN : {'long ' * 80}; git ls-remote https://{proxied.address}/")
    assert "BOTTLEMUX_BUILD_CA" in (caught.value.hint or "")
