"""What the preflight says where git could not work in a mounted workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.workspace import mount_warnings

from .world import git

if TYPE_CHECKING:
    from pathlib import Path


def test_a_whole_repository_needs_no_warning(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert mount_warnings(tmp_path) == []


def test_a_linked_worktree_is_named(tmp_path: Path) -> None:
    main, linked = tmp_path / "main", tmp_path / "linked"
    main.mkdir()
    git(main, "init", "-q")
    git(main, "commit", "-q", "--allow-empty", "-m", "x")
    git(main, "worktree", "add", "-q", str(linked))
    (warning,) = mount_warnings(linked)
    assert "linked worktree" in warning
    assert "--workspace clone" in warning


def test_a_part_of_a_repository_is_named(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    part = tmp_path / "part"
    part.mkdir()
    (warning,) = mount_warnings(part)
    assert f"part of the repository {tmp_path}" in warning
