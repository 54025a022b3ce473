"""From ``config.toml`` to a request in a bottle: the operator's pipelock, chosen, shown, asked and ended."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from bottlemux.errors import UnavailableError
from bottlemux.lifecycle.context import Context
from bottlemux.lifecycle.engines import gitleaks_binary, pipelock_binary
from bottlemux.manifest.problems import ManifestError
from bottlemux.paths import Paths
from tests.e2e.world import World, until
from tests.egress.support import Upstream
from tests.outbound.support import MARK, make_stand_in
from tests.outbound.test_program import is_alive, starts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "user")
    yield made
    made.close()


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Upstream]:
    server = Upstream(tmp_path)
    yield server
    server.close()


def choose(directory: Path, engine: str, role: str = "pipelock") -> Context:
    environ = {
        "HOME": str(directory),
        "BOTTLEMUX_CONFIG_DIR": str(directory),
        "BOTTLEMUX_STATE_DIR": str(directory / "state"),
        "PATH": str(directory / "bin"),
    }
    (directory / "config.toml").write_text(f"[engines]\n{role} = {json.dumps(engine)}\n")
    return Context(Paths.from_environ(environ), environ, directory)


def test_the_engine_is_the_one_of_the_configuration(tmp_path: Path) -> None:
    assert pipelock_binary(choose(tmp_path, "builtin")) == "builtin"
    assert pipelock_binary(choose(tmp_path, "auto")) == "builtin"
    program = make_stand_in(tmp_path / "bin")
    assert pipelock_binary(choose(tmp_path, "auto")) == str(program)
    assert pipelock_binary(choose(tmp_path, str(program))) == str(program)
    assert pipelock_binary(choose(tmp_path, "builtin")) == "builtin"


def test_without_a_configuration_the_engine_is_builtin(tmp_path: Path) -> None:
    context = choose(tmp_path, "auto")
    context.paths.config_file.unlink()
    make_stand_in(tmp_path / "bin")
    assert pipelock_binary(context) == "builtin"


def test_a_path_that_is_no_program_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    for path in ("text", "missing"):
        with pytest.raises(UnavailableError, match="not an executable"):
            pipelock_binary(choose(tmp_path, str(tmp_path / path)))
    with pytest.raises(ManifestError, match="absolute path"):
        pipelock_binary(choose(tmp_path, "pipelock"))


def test_what_scans_pushes_is_the_one_of_the_configuration(tmp_path: Path) -> None:
    own = tmp_path / "bin" / "gitleaks"
    own.parent.mkdir()
    shutil.copy("/bin/true", own)
    assert gitleaks_binary(choose(tmp_path, "auto", "gitleaks")) == str(own)
    assert gitleaks_binary(choose(tmp_path, "builtin", "gitleaks")) == "builtin"
    other = shutil.copy(own, tmp_path / "other")
    assert gitleaks_binary(choose(tmp_path, str(other), "gitleaks")) == str(other)
    with pytest.raises(UnavailableError, match=r"the gitleaks engine .* is not an executable"):
        gitleaks_binary(choose(tmp_path, str(tmp_path / "missing"), "gitleaks"))


SCRIPT = """
curl -s -o /dev/null -w '%{http_code}\\n' -d harmless http://plain.example.com/a
curl -s -d MARK http://plain.example.com/a
"""


@pytest.mark.bwrap
@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_a_bottle_is_scanned_by_it(world: World, plain: Upstream, tmp_path: Path) -> None:
    program = make_stand_in(tmp_path / "operator")
    (world.config / "config.toml").write_text(f'[engines]\npipelock = "{program}"\n')
    world.manifest(
        "bottles",
        "out",
        f"""
backend: bubblewrap
egress:
  routes:
    - host: plain.example.com
      scheme: http
      upstream: {plain.address}
""",
    )
    world.manifest("agents", "shell", "bottle: out\nprogram: [bash, -l]")
    assert f"pipelock: block ({program})" in world.run("start", "shell", "--dry-run")
    assert starts(program) == []

    slug = world.start("shell")
    assert "content is scanned by pipelock: block, pipelock 9.8.7" in world.run("logs", slug, "egress")
    printed = world.run("exec", slug, "--", "sh", "-c", SCRIPT.replace("MARK", MARK)).splitlines()
    assert printed[0] == "200"
    assert json.loads(printed[1])["reason"] == "dlp"
    assert [request.body for request in plain.requests] == [b"harmless"]
    until(lambda: any(line["rule"] == "pipelock/Mark:body" for line in world.audit(slug)), "the audit line")

    (first,) = starts(program)
    world.run("stop", slug)
    until(lambda: not is_alive(first["pid"]), "the end of the program")
