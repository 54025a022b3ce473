"""A project with one commit, a hostile working copy of it on disk, and no bottle: what is tested runs on the host."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from backends.workspace import make_clone, make_copy
from bottlemux.lifecycle.changes import base_commit
from bottlemux.lifecycle.context import Context
from bottlemux.paths import Paths
from bottlemux.state.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bottlemux.state.metadata import Metadata

_IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgSign=false")


def git(directory: Path, *words: str) -> str:
    """Run git as a careless person would."""
    done = subprocess.run(["git", *_IDENTITY, *words], cwd=directory, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode().strip()


@dataclass(frozen=True)
class Place:
    """The operator's project, the agent's copy of it, and what bottlemux recorded."""

    context: Context
    record: Metadata
    project: Path
    work: Path
    canary: Path

    def commit(self, name: str, text: str) -> str:
        """Change a file in the working copy, as the agent, and commit it."""
        (self.work / name).write_text(text)
        git(self.work, "add", "--", name)
        git(self.work, "commit", "-q", "-m", f"change {name}")
        return git(self.work, "rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    git(directory, "init", "-q", "-b", "main")
    (directory / "file.txt").write_text("one\ntwo\n")
    git(directory, "add", ".")
    git(directory, "commit", "-q", "-m", "first")
    return directory


@pytest.fixture
def make_place(tmp_path: Path) -> Callable[..., Place]:
    def make(project: Path, workspace: str = "clone") -> Place:
        paths = Paths(config=tmp_path / "config", state=tmp_path / "state", runtime=tmp_path / "run")
        context = Context(paths, {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}, project)
        base = None if workspace == "mount" else base_commit(project)
        record = context.store.create(
            "demo", bottle="quiet", backend="bubblewrap", cwd=project, workspace=workspace, base_commit=base
        )
        work = paths.bottle(record.identity).workspace
        if workspace == "mount":
            work = project
        else:
            if work.exists():
                remove_tree(work)
            made = (
                make_clone
                if workspace == "clone"
                else lambda source, target, _branch: make_copy(source, target)
            )
            made(project, work, f"bottlemux/{record.identity}")
        return Place(context, record, project, work, tmp_path / "canary")

    return make


@pytest.fixture
def place(make_place: Callable[..., Place], project: Path) -> Place:
    return make_place(project)
