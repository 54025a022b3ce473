from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sidecars.egress.routes import Route
from tests.supervise.support import Server, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROUTES = (
    Route(host="files.example.com", methods=("GET",), paths=("/public/",)),
    Route(host="api.example.com", token_ref="API_TOKEN", paths=("/v1/",)),
    Route(host="*.wild.example.com", methods=("GET",)),
    Route(host="*.keyed.example.com", token_ref="API_TOKEN"),
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, *ROUTES) as made:
        yield made
