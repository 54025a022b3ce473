"""An upstream with its own authority, and egress in front of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sidecars.egress.routes import Route
from sidecars.secrets import SecretSource
from tests.egress.support import Client, Proxy, Upstream, running_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "api.example.com"
TOKEN = "real-token-0123456789abcdef"


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    server = Upstream(tmp_path, HOST)
    yield server
    server.close()


@pytest.fixture
def plain_upstream(tmp_path: Path) -> Iterator[Upstream]:
    server = Upstream(tmp_path)
    yield server
    server.close()


@pytest.fixture
def routes(upstream: Upstream, plain_upstream: Upstream) -> tuple[Route, ...]:
    dial = {"upstream": upstream.address, "upstream_ca": str(upstream.ca_file)}
    return (
        Route(host=HOST, paths=("/v1/",), methods=("GET", "POST"), token_ref="TOKEN", **dial),
        Route(host=HOST, paths=("/open/",), websocket=True, **dial),
        Route(host="plain.example.com", scheme="http", upstream=plain_upstream.address),
    )


@pytest.fixture
def proxy(tmp_path: Path, routes: tuple[Route, ...]) -> Iterator[Proxy]:
    with running_proxy(tmp_path, *routes, secrets={"TOKEN": SecretSource(value=TOKEN)}) as running:
        yield running


@pytest.fixture
def tunnel(proxy: Proxy) -> Iterator[Client]:
    with proxy.client() as client:
        client.tunnel(HOST)
        yield client
