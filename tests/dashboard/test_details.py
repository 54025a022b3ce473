from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.dashboard.board import Row
from bottlemux.dashboard.details import read_details
from bottlemux.lifecycle.status import collect
from sidecars.egress.routes import Route, RouteSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.lifecycle.context import Context
    from sidecars.supervise.proposal import Proposal

    type Make = Callable[[], str]


def test_routes_are_lines_to_read(context: Context, make_bottle: Make) -> None:
    slug = make_bottle()
    routes = (
        Route(host="api.example.com", methods=("GET", "POST"), paths=("/v1/", "/v2/")),
        Route(host="*.example.org", port=8443),
    )
    context.paths.bottle(slug).routes.write_text(RouteSet(routes=routes).dump())
    facts = read_details(context, Row(*collect(context, [slug])), None).facts
    assert "reaches   https://api.example.com GET,POST /v1/ /v2/" in facts
    assert "          https://*.example.org:8443 any method any path" in facts


def test_what_is_asked_comes_before_names_and_times(
    context: Context, make_bottle: Make, ask: Callable[..., Proposal]
) -> None:
    slug = make_bottle()
    proposal = ask(slug)
    asked = read_details(context, Row(*collect(context, [slug])), proposal).asked
    assert asked[0] == "asks     GET https://new.example.com:443 any path"
    assert asked.index(f"sha256   {proposal.content_hash}") > asked.index("+++ routes if approved")
