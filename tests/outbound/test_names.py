"""Names under a wildcard: judged before anybody is asked for an address, as a look-up alone can carry data out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from sidecars.egress.routes import Route
from tests.egress.support import Answer, Proxy, wait_until
from tests.outbound.support import running_outbound

if TYPE_CHECKING:
    from pathlib import Path

DATA = "6a6f686e2e646f652e70617373776f7264.example.com"
NAME = "eu-west-1.api.example.com"


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that egress asks for; nobody is really asked."""
    asked: list[str] = []

    async def refuse(_loop: object, host: str, *_args: Any, **_options: Any) -> list[Any]:
        asked.append(host)
        raise OSError("no such name")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", refuse)
    return asked


def connect_and_get(proxy: Proxy, host: str) -> Answer:
    with proxy.client() as client:
        answer = client.connect(f"{host}:443")
        if answer.status != 200:
            return answer
    with proxy.client() as client:
        client.tunnel(host)
        return client.request("GET", "/", host)


def get_plain(proxy: Proxy, host: str) -> Answer:
    with proxy.client() as client:
        return client.request("GET", f"http://{host}/", host)


WAYS = {
    "CONNECT": (connect_and_get, Route(host="*.example.com"), "CONNECT"),
    "plain": (get_plain, Route(host="*.example.com", scheme="http", port=80), "GET"),
}


def route_with(route: Route, mode: str | None) -> Route:
    return route.model_copy(update={"pipelock": mode})


MODES = [
    ("block", None, "block"),
    ("block", "warn", "warn"),
    ("block", "off", "off"),
    ("warn", None, "warn"),
    ("off", None, "off"),
    ("off", "block", "block"),
    ("warn", "block", "block"),
]


@pytest.mark.parametrize(("way", "route", "method"), WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize(("of_bottle", "of_route", "mode"), MODES)
def test_data_as_a_name_is_judged_before_it_is_looked_up(
    tmp_path: Path,
    looked_up: list[str],
    way: Any,
    route: Route,
    method: str,
    of_bottle: Any,
    of_route: str | None,
    mode: str,
) -> None:
    with running_outbound(tmp_path, route_with(route, of_route), scan_mode=of_bottle) as proxy:
        answer = way(proxy, DATA)
        wait_until(lambda: any(line["decision"] != "warn" for line in proxy.audit()))
        lines = proxy.audit()
    warned = [line["rule"] for line in lines if line["decision"] == "warn"]
    assert (DATA in looked_up) == (mode != "block")
    assert warned == (["suspicious-label:host"] if mode == "warn" else [])
    if mode == "block":
        assert (answer.status, answer.reason) == (403, "dlp")
        assert "supervise" in answer.json()["hint"]
        assert (lines[-1]["rule"], lines[-1]["method"]) == ("suspicious-label:host", method)
    else:
        assert answer.status == 502


@pytest.mark.parametrize(("way", "route", "method"), WAYS.values(), ids=WAYS.keys())
def test_ordinary_names_are_looked_up(
    tmp_path: Path, looked_up: list[str], way: Any, route: Route, method: str
) -> None:
    with running_outbound(tmp_path, route) as proxy:
        assert way(proxy, NAME).status == 502
    assert looked_up == [NAME]


def test_a_name_with_a_route_of_its_own_is_the_operators_choice(tmp_path: Path, looked_up: list[str]) -> None:
    with running_outbound(tmp_path, Route(host="*.example.com"), Route(host=DATA)) as proxy:
        assert connect_and_get(proxy, DATA).status == 502
    assert looked_up == [DATA]


def test_connect_waits_for_the_request_where_a_route_would_let_it_pass(
    tmp_path: Path, looked_up: list[str]
) -> None:
    routes = [
        Route(host="*.example.com", paths=("/closed/",)),
        Route(host="*.example.com", paths=("/open/",), pipelock="off"),
    ]
    with running_outbound(tmp_path, *routes) as proxy, proxy.client() as client:
        client.tunnel(DATA)
        answer = client.request("GET", "/closed/", DATA)
        assert (answer.status, answer.reason) == (403, "dlp")
        assert looked_up == []
    with running_outbound(tmp_path, *routes) as proxy, proxy.client() as client:
        client.tunnel(DATA)
        assert client.request("GET", "/open/", DATA).status == 502
        assert looked_up == [DATA]
