"""An upstream that trusts nobody and whose requests are all kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.egress.support import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "api.example.com"


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    server = Upstream(tmp_path, HOST)
    yield server
    server.close()
