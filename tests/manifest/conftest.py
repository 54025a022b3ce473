"""A user with an empty configuration, and an empty project directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bottlemux.paths import Paths

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = Paths(config=tmp_path / "config", state=tmp_path / "state", runtime=tmp_path / "run")
    for directory in (found.bottles_config, found.agents_config, found.skills, found.layouts):
        directory.mkdir(parents=True)
    return found


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    return directory
