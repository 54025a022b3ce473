"""What holds for the project's files as a whole: no traces of a machine, complete locks, texts that are true."""

from __future__ import annotations

import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bottlemux.cli.dispatch import COMMANDS

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-uv.txt")
# In pieces, so that this file passes its own test.
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("golang", "org"),
        ("crates", "io"), ("rubygems", "org"),
    )
)  # fmt: skip
MACHINE_PATHS = ("/".join(("", "root", ".pyenv")), "/".join(("", "work", "")), "/".join(("", "opt", "pypi")))


@cache
def project_files() -> tuple[Path, ...]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a repository")
    listed = subprocess.run(
        ("git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"), cwd=ROOT, capture_output=True, check=True
    )
    return tuple(
        path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()
    )


# The scanners know tokens by the names of those who issue them.
ABOUT_TOKENS = ("sidecars/scan/", "tests/scan/")


@pytest.mark.parametrize("forbidden", [*REGISTRIES, *MACHINE_PATHS])
def test_no_file_names_a_registry_or_a_place_on_a_machine(forbidden: str) -> None:
    pattern = re.compile(rb"(?<![A-Za-z0-9])" + re.escape(forbidden.encode()))
    found = [str(path.relative_to(ROOT)) for path in project_files() if pattern.search(path.read_bytes())]
    assert [name for name in found if not name.startswith(ABOUT_TOKENS)] == []


def locked(name: str) -> dict[str, Requirement]:
    """Return what a lock file pins, by name; a line without a hash fails."""
    found: dict[str, Requirement] = {}
    for entry in (ROOT / name).read_text().replace("\\\n", " ").splitlines():
        assert "--hash=sha256:" in entry, entry
        requirement = Requirement(entry.partition(" --hash")[0])
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), entry
        found[canonicalize_name(requirement.name)] = requirement
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_every_package_by_version_and_hash(name: str) -> None:
    assert locked(name)


@pytest.mark.parametrize(
    ("name", "groups"), [("requirements.txt", ("build",)), ("requirements-dev.txt", ("build", "dev"))]
)
def test_a_lock_has_all_that_the_project_asks_for(name: str, groups: tuple[str, ...]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"]]
    for group in groups:
        wanted += project["dependency-groups"][group]
    pins = locked(name)
    for requirement in map(Requirement, wanted):
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement.name} is not locked: run scripts/lock"
        (version,) = [specifier.version for specifier in pin.specifier]
        assert requirement.specifier.contains(version), f"{pin} does not fit {requirement}: run scripts/lock"


def test_the_locks_agree() -> None:
    runtime, dev = locked("requirements.txt"), locked("requirements-dev.txt")
    assert {name: str(pin) for name, pin in runtime.items()} == {name: str(dev.get(name)) for name in runtime}


def test_the_reference_names_every_command() -> None:
    text = (ROOT / "docs/reference/commands.md").read_text()
    assert [name for name in COMMANDS if f"\n## {name}\n" not in text] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/design.md"])
def test_what_a_text_links_to_is_there(name: str) -> None:
    page = ROOT / name
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
