"""``diff`` and ``fetch`` of a real bottle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.changes.conftest import git
from tests.e2e.world import World, until
from tests.session.conftest import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux]

_COMMIT = (
    "cd /workspace && echo changed > file.txt && git -c user.name=a -c user.email=a@b.c commit -qam done"
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    user = World(tmp_path / "world")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    user.environ["TMPDIR"] = str(temporary)
    user.manifest("bottles", "quiet", "supervise: false", "Nothing out.")
    user.manifest("agents", "shell", "bottle: quiet\nprogram: [bash, --norc]\nworkspace: clone", "A shell.")
    git(user.project, "init", "-q", "-b", "main")
    (user.project / "file.txt").write_text("first\n")
    git(user.project, "add", ".")
    git(user.project, "commit", "-q", "-m", "first")
    yield user
    user.close()


def test_what_an_agent_committed_is_shown_and_fetched(world: World) -> None:
    slug = world.start("shell", "--layout", "review")
    until(lambda: "nothing was changed" in _pane(world, slug), "the pane without changes")
    world.run("exec", slug, "--", "sh", "-c", _COMMIT)
    assert {"-first", "+changed"} <= set(world.run("diff", slug).splitlines())
    assert "file.txt" in world.run("diff", slug, "--stat")
    until(lambda: "+changed" in _pane(world, slug), "the pane with the change")
    assert _pane(world, slug).rstrip().endswith("-- shown anew as it changes; Ctrl-C ends --")
    terminal = Terminal(world.argv("fetch", slug), world.environ, (200, 24))
    terminal.shows(f"next: git -C {world.project} merge bottlemux/{slug}\r\n")
    terminal.close()
    fetched = world.try_run("fetch", slug)
    assert (fetched.stdout.split(" is at ")[0], fetched.stderr) == (f"bottlemux/{slug}", "")
    assert git(world.project, "show", f"bottlemux/{slug}:file.txt") == "changed"
    temporary = Path(world.environ["TMPDIR"])
    assert list(temporary.glob("bottlemux-review-*"))
    world.run("stop", slug)
    until(lambda: not list(temporary.glob("bottlemux-review-*")), "a removed index")
    assert "+changed" in world.run("diff", slug, "--raw").splitlines()
    assert world.try_run("diff", "nosuch-00000").returncode == 4


def _pane(world: World, slug: str) -> str:
    return world.pane(slug, "diff")
