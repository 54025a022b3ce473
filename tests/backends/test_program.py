"""How the agent's program gets into a bottle, and nothing else with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backends.bubblewrap.program import find_program
from bottlemux.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path


def script(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_program_of_the_system_needs_nothing() -> None:
    assert find_program("sh").mounts == ()


def test_one_that_is_not_there_is_named() -> None:
    with pytest.raises(UnavailableError, match="no-such-program"):
        find_program("no-such-program")


def test_a_script_elsewhere_comes_alone(tmp_path: Path) -> None:
    program = script(tmp_path / "home/bin/tool")
    (tmp_path / "home/.ssh").mkdir()
    (tmp_path / "home/package.json").write_text("{}")
    assert [mount.source for mount in find_program(str(program)).mounts] == [str(program)]


@pytest.mark.parametrize("scope", ["", "@scope/"])
def test_an_installed_node_package_comes_whole(tmp_path: Path, scope: str) -> None:
    package = tmp_path / f"lib/node_modules/{scope}tool"
    program = script(package / "bin/cli.js")
    (package / "package.json").write_text("{}")
    link = tmp_path / "bin/tool"
    link.parent.mkdir()
    link.symlink_to(program)
    found = find_program(str(link))
    assert [mount.source for mount in found.mounts] == [str(package)]
    assert found.links == (("tool", "/run/bottlemux/opt/tool/bin/cli.js"),)
    assert not any(mount.writable for mount in found.mounts)


def test_a_package_without_description_is_not_shown_whole(tmp_path: Path) -> None:
    program = script(tmp_path / "node_modules/tool/cli.js")
    assert [mount.source for mount in find_program(str(program)).mounts] == [str(program)]
