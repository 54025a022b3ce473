from __future__ import annotations

from typing import TYPE_CHECKING

from .conftest import git

if TYPE_CHECKING:
    from .conftest import World


def test_clone_fetch_and_push(world: World) -> None:
    gate = world.gate()
    work = world.clone(gate)
    assert (work / "README").read_text() == "hello\n"
    new = world.commit(work)
    done = git(work, "push", "origin", "HEAD:refs/heads/bottlemux/one")
    assert "new branch" in done.stderr
    assert world.upstream_ref("refs/heads/bottlemux/one") == new


def test_refused_branch(world: World) -> None:
    gate = world.gate(branches=("bottlemux/*",))
    work = world.clone(gate)
    world.commit(work)
    done = git(work, "push", "origin", "HEAD:main", check=False)
    assert done.returncode != 0
    print(done.stderr)
    assert "remote: git-gate: refused (ref-not-allowed)" in done.stderr
