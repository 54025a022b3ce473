"""A mounted project's files by which a tool on the host would run code, attacked from inside a bottle."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from backends.workspace import PROTECTED_DIRECTORIES, PROTECTED_FILES
from bottlemux.errors import UsageError

from .world import git

if TYPE_CHECKING:
    from pathlib import Path

    from .world import World

NAMES = sorted({*PROTECTED_DIRECTORIES, *PROTECTED_FILES})
LOCKS = {name for name in NAMES if name.endswith(".lock")}
ATTACKS = {
    "write": "echo evil > {0}",
    "append": "echo evil >> {0}",
    "inside": "echo evil > {0}/evil",
    "directory": "mkdir {0}/evil",
    "rename": "mv {0} taken",
    "replace": "echo evil > evil; mv -f evil {0} && ! test -e {0}/evil",
    "exchange": 'mkdir ex; python3 -c \'import os; os.rename("ex", "{0}")\'',
    "remove": "rm -rf {0} && ! test -e {0}",
    "link": "ln -sfn /tmp {0} && test -L {0}",
    "hard link": "ln {0} alias 2>/dev/null",
    "mode": "chmod 777 {0}",
    "unmount": "umount {0}",
}
EXISTING = {".git/config", ".git/hooks"}


def snapshot(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {"": path.read_bytes()}
    return {
        str(entry.relative_to(path)): b"" if entry.is_dir() else entry.read_bytes()
        for entry in path.rglob("*")
    }


@pytest.mark.bwrap
@pytest.mark.parametrize("made", [True, False], ids=["there before", "missing before"])
def test_no_attack_changes_a_protected_name(own: World, made: bool) -> None:
    project = own.project(repository=True)
    if made:
        for name in NAMES:
            path = project / name
            if not path.exists() and name not in LOCKS:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.mkdir() if name in PROTECTED_DIRECTORIES else path.write_text("mine\n")
        (project / ".git/commondir").write_text(".\n")
    before = {name: snapshot(project / name) for name in NAMES if (project / name).exists()}
    bottle = own.launch(directory=project)
    for name in NAMES:
        for attack, script in ATTACKS.items():
            result = bottle.exec(script.format(shlex.quote(name)))
            assert result.returncode != 0, f"{attack} on {name}"
    for name in NAMES:
        assert bottle.exec(f"test -L {name}").returncode != 0
    bottle.close()
    after = {name: snapshot(project / name) for name in NAMES if (project / name).exists()}
    assert after == before


@pytest.mark.bwrap
@pytest.mark.parametrize(
    "script",
    ["mv .git away", "rm -rf .git; ! test -e .git/config", "mkdir n && mv -T n .git", "rmdir .git"],
    ids=["renamed", "removed", "replaced", "removed empty"],
)
def test_git_itself_cannot_be_moved_away(own: World, script: str) -> None:
    project = own.project(repository=True)
    with own.launch(directory=project) as bottle:
        assert bottle.exec(script).returncode != 0
    assert "repositoryformatversion" in (project / ".git/config").read_text()
    assert (project / ".git/hooks").is_dir()


@pytest.mark.bwrap
def test_a_repository_cannot_be_made_where_there_is_none(own: World) -> None:
    project = own.project()
    with own.launch(directory=project) as bottle:
        assert bottle.exec("git init . && test -e .git/config").returncode != 0
        assert bottle.exec("git init sub").returncode == 0  # its own directory is the agent's
    assert not (project / ".git").exists()


@pytest.mark.bwrap
def test_git_works_beside_what_is_protected(own: World) -> None:
    project = own.project(repository=True)
    with own.launch(directory=project) as bottle:
        script = """
            set -e
            export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
            git switch -qc topic; echo x > x; git add x; git commit -qm x; git tag t; git stash list
            git switch -q main; git merge -q topic; git gc -q; git status --porcelain
        """
        result = bottle.exec(script)
        assert (result.returncode, result.stderr) == (0, "")
    assert git(project, "fsck").strip() == ""
    assert (project / "x").exists()


@pytest.mark.bwrap
@pytest.mark.parametrize("name", [".vscode", ".envrc", ".git", ".git/hooks", ".git/config"])
def test_a_link_in_place_of_a_protected_name_is_refused(own: World, name: str, tmp_path: Path) -> None:
    project = own.project(repository=name.startswith(".git/"))
    place = project / name
    if place.exists():
        place.rename(tmp_path / "moved")
    place.symlink_to(tmp_path)
    with pytest.raises(UsageError, match="symbolic link") as refused:
        own.plan(directory=project)
    assert "clone" in refused.value.hint


@pytest.mark.bwrap
def test_a_stand_in_that_somebody_filled_is_left(own: World) -> None:
    project = own.project()
    bottle = own.launch(directory=project)
    (project / ".vscode" / "settings.json").write_text("{}")
    bottle.close()
    assert [path.name for path in project.iterdir()] == [".vscode"]


@pytest.mark.bwrap
def test_git_on_the_host_cannot_replace_a_file_that_a_mount_protects(own: World) -> None:
    """It would be another file to the kernel, and from then on writable in the bottle."""
    project = own.project(repository=True)
    before = (project / ".git/config").read_bytes()
    with own.launch(directory=project) as bottle:
        for arguments in (
            ["config", "a.b", "c"],
            ["remote", "add", "x", "y"],
            ["config", "--worktree", "a.b", "c"],
        ):
            with pytest.raises(subprocess.CalledProcessError) as refused:
                git(project, *arguments)
            assert b"lock" in refused.value.stderr
        assert bottle.exec("echo evil >> .git/config").returncode != 0
        for name in (
            "status",
            "log",
            "branch new",
            "commit -q --allow-empty -m x",
            "switch -q -c other",
            "gc -q",
        ):
            git(project, *name.split())
    assert (project / ".git/config").read_bytes() == before
    git(project, "config", "a.b", "c")


@pytest.mark.bwrap
def test_settings_of_a_worktree_cannot_be_made_where_git_would_read_them(own: World) -> None:
    project = own.project(repository=True)
    git(project, "config", "extensions.worktreeConfig", "true")
    with own.launch(directory=project) as bottle:
        script = (
            "git config -f .git/config.worktree core.fsmonitor evil || echo '[core]' > .git/config.worktree"
        )
        assert bottle.exec(script).returncode != 0
        git(project, "status")
    assert not (project / ".git/config.worktree").exists()
