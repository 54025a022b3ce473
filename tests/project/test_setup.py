"""What scripts/setup says where there is no suitable Python and none can be had: the cause, and what mends it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
TOOLS = (
    "bash", "bwrap", "cat", "curl", "dirname", "env", "git", "grep", "head", "id", "ldconfig", "ln", "ls", "mkdir",
    "readlink", "rm", "sha256sum", "sort", "ssh", "tail", "tmux",
)  # fmt: skip
OLD_PYTHON = """\
case "$*" in
  *sys.exit*) exit 1 ;;
  "-m venv "*) mkdir -p "$3/bin"; ln -s "$0" "$3/bin/python" ;;
  *"-m pip"*) echo "WARNING: Retrying"; echo "ERROR: No matching distribution found for uv"; exit 1 ;;
esac
"""
UV = """\
case "$*" in
  --version) ;;
  *--quiet*) exit 1 ;;
  *) echo "error: no"; echo "  cause: Failed to download the Python"; echo "  "; exit 1 ;;
esac
"""


@pytest.fixture
def setup(tmp_path: Path) -> Callable[..., str]:
    """Return a run of the script in a copy of the project, where the named programs are all there is."""
    project, programs = tmp_path / "project", tmp_path / "bin"
    (project / "scripts").mkdir(parents=True)
    programs.mkdir()
    for name in ("scripts/setup", "requirements.txt", "requirements-uv.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, project / name)
    for name in TOOLS:
        found = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
        if found is None:
            pytest.skip(f"{name} is not installed")
        (programs / name).symlink_to(found)

    def run(**fakes: str) -> str:
        for name, script in fakes.items():
            (programs / name).write_text(f"#!/bin/bash\n{script}")
            (programs / name).chmod(0o755)
        done = subprocess.run(
            [project / "scripts/setup"], env={"PATH": str(programs), "HOME": str(tmp_path)}, cwd=tmp_path,
            capture_output=True, encoding="utf-8", timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 3, done.stderr
        assert not (project / ".venv").exists()
        return done.stderr

    return run


def test_without_uv_and_without_any_python(setup: Callable[..., str]) -> None:
    said = setup()
    assert (
        "error: bottlemux needs Python 3.12 or 3.13, and there is neither uv nor a python3 that runs" in said
    )
    assert "to mend that:  curl -LsSf https://astral.sh/uv/install.sh | sh\n" in said


def test_where_an_older_python_cannot_get_uv(setup: Callable[..., str]) -> None:
    said = setup(python3=OLD_PYTHON)
    assert "and pip could not get uv: ERROR: No matching distribution found for uv\n" in said
    assert "to mend that:  curl " in said


def test_where_uv_cannot_get_a_python(setup: Callable[..., str]) -> None:
    said = setup(uv=UV)
    assert "and uv could not get Python 3.13: cause: Failed to download the Python\n" in said
    assert "/project/.cache/python uv python install --no-bin 3.13\n" in said


def test_where_uv_says_nothing(setup: Callable[..., str]) -> None:
    assert "and uv could not get Python 3.13\n" in setup(uv='[ "$1" = --version ]')


@pytest.mark.parametrize("program", ["pyenv", "python3"])
def test_a_python_of_pyenv_is_found_above_what_is_on_the_path(
    setup: Callable[..., str], tmp_path: Path, program: str
) -> None:
    python = tmp_path / "versions/3.13.0/bin/python3"
    python.parent.mkdir(parents=True)
    python.write_text("""#!/bin/bash\ncase "$*" in *"-m venv"*) exit 1 ;; esac\n""")
    python.chmod(0o755)
    assert f"error: {python} could not make .venv" in setup(**{program: "exit 1"})


def test_where_the_older_python_has_no_venv(setup: Callable[..., str]) -> None:
    script = (
        "case \"$*\" in *ensurepip*) exit 1 ;; *print*) echo python3.9-venv ;; *'sys.exit'*) exit 1 ;; esac\n"
    )
    said = setup(python3=script)
    assert "error: these are missing: python3.9-venv\n" in said
