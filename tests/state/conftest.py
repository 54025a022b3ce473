"""An empty store of bottles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bottlemux.paths import Paths
from bottlemux.state.store import BottleStore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> BottleStore:
    return BottleStore(Paths(config=tmp_path / "config", state=tmp_path / "state", runtime=tmp_path / "run"))
