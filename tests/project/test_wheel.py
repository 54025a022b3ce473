"""The wheel has everything, works where it is installed, and runs nothing of the directory it is called from."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60


def run(*argv: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in argv], cwd=cwd, env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environ},
        capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    done = run(sys.executable, "-I", "-m", "hatchling", "build", "-t", "wheel", "-d", out, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the ``bin`` of an environment with the wheel in it, which finds its dependencies in this one's."""
    place = tmp_path_factory.mktemp("installed")
    venv.create(place, with_pip=True, symlinks=True)
    done = run(
        place / "bin/python", "-I", "-m", "pip", "install", "-qq", "--no-deps", "--no-index", wheel, cwd=place
    )
    assert done.returncode == 0, done.stderr
    (site,) = place.glob("lib/python3*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place / "bin"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Return a directory whose packages have the names of ours and leave a trace when they are imported."""
    directory = tmp_path / "project"
    for name in ("bottlemux", "backends", "sidecars"):
        (directory / name).mkdir(parents=True)
        trace = f"open({str(tmp_path / 'trace')!r}, 'w').close()\n"
        (directory / name / "__init__.py").write_text(trace)
    return directory


def test_the_wheel_has_every_file_of_the_packages_and_the_data(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected: set[str] = set()
    for top, target in (("bottlemux", "bottlemux"), ("backends", "backends"), ("sidecars", "sidecars"),
                        ("layouts", "bottlemux/_data/layouts"), ("images", "bottlemux/_data/images")):  # fmt: skip
        files = (path for path in (ROOT / top).rglob("*") if path.is_file())
        kept = (path for path in files if "__pycache__" not in path.parts and not path.name.startswith("."))
        expected |= {f"{target}/{path.relative_to(ROOT / top)}" for path in kept}
    assert expected - inside == set()
    assert {"bottlemux/_examples/agents/demo.md", "sidecars/scan/rules.toml", "backends/data/bottlemux-demo",
            "bottlemux/py.typed", "bottlemux/_data/layouts/default.yaml"} <= inside  # fmt: skip


def test_a_hostile_directory_leaves_its_trace_when_imported(hostile: Path) -> None:
    """The next test could not fail otherwise."""
    run(sys.executable, "-c", "import backends", cwd=hostile)
    assert (hostile.parent / "trace").exists()


@pytest.mark.bwrap
@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["--version"], "bottlemux 0."),
        (["list", "layouts"], "default"),
        (["list", "agents"], "demo"),
        (["start", "demo", "--dry-run"], "network"),
    ],
    ids=" ".join,
)
def test_the_installed_wheel_runs_nothing_of_where_it_is_called(
    installed: Path, hostile: Path, arguments: list[str], printed: str
) -> None:
    state = str(hostile.parent / "state")
    done = run(installed / "bottlemux", *arguments, cwd=hostile, HOME=state, BOTTLEMUX_STATE_DIR=state)
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout
    assert not (hostile.parent / "trace").exists()


@pytest.mark.parametrize("arguments", [["info"], ["help", "manifest"]], ids=" ".join)
def test_the_installed_wheel_names_files_that_are_there(
    installed: Path, tmp_path: Path, arguments: list[str]
) -> None:
    printed = run(installed / "bottlemux", *arguments, cwd=tmp_path, HOME=str(tmp_path)).stdout
    named = [Path(word) for word in re.findall(r"[^\s(]*docs/[^\s)]*", printed)]
    assert named
    assert [path for path in named if not path.is_relative_to(installed.parent) or not path.is_file()] == []


def test_the_installed_packages_are_the_wheels(installed: Path, tmp_path: Path) -> None:
    code = "import bottlemux, backends, sidecars; print(bottlemux.__file__, backends.__file__, sidecars.__file__)"
    done = run(installed / "python", "-I", "-c", code, cwd=tmp_path)
    assert all(word.startswith(str(installed.parent)) for word in done.stdout.split()), (
        done.stdout + done.stderr
    )
