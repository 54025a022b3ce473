"""What may be asked for at all: the table of refusals, and the canonical forms."""

from __future__ import annotations

from typing import Any

import pytest

from sidecars.egress.policy import Policy
from sidecars.egress.routes import Route
from sidecars.supervise import grants
from sidecars.supervise.asks import CapabilityAsk, EgressAsk, GitAsk
from sidecars.supervise.checks import (
    AlreadyAllowed,
    Refused,
    capability_request,
    egress_request,
    git_request,
)
from sidecars.supervise.proposal import Proposal
from sidecars.supervise.spec import RemoteBranches
from tests.supervise.conftest import ROUTES

REMOTES = (RemoteBranches("origin", ("bottlemux/*",)), RemoteBranches("fork", ("x",)))


def egress(**values: Any) -> dict[str, object]:
    return egress_request(EgressAsk(reason="x", **values), ROUTES)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"host": "*.example.com"}, "wildcard"),
        ({"host": "*"}, "wildcard"),
        ({"host": "10.0.0.1"}, "address"),
        ({"host": "8.8.8.8"}, "address"),
        ({"host": "[::1]"}, "address"),
        ({"host": "::ffff:127.0.0.1"}, "address"),
        ({"host": "2130706433"}, "malformed"),
        ({"host": "0x7f000001"}, "malformed"),
        ({"host": "127.1"}, "malformed"),
        ({"host": "localhost"}, "address"),
        ({"host": "LocalHost."}, "address"),
        ({"host": "x.localhost"}, "address"),
        ({"host": "egress"}, "reserved"),
        ({"host": "supervise"}, "reserved"),
        ({"host": "git-gate"}, "reserved"),
        ({"host": "_egress.local"}, "reserved"),
        ({"host": "metadata.google.internal"}, "reserved"),
        ({"host": "METADATA.google.internal."}, "reserved"),
        ({"host": "169.254.169.254"}, "address"),
        ({"host": "a b.example.com"}, "malformed"),
        ({"host": "a.example.com/x"}, "malformed"),
        ({"host": "user@a.example.com"}, "malformed"),
        ({"host": "a.example.com:443"}, "malformed"),
        ({"host": "a\u200cb.example.com"}, "malformed"),
        ({"host": "api.example.com"}, "credential"),
        ({"host": "API.example.com", "paths": ["/v2/"]}, "credential"),
        ({"host": "api.example.com", "port": 8443}, "credential"),
        ({"host": "x.keyed.example.com"}, "credential"),
        ({"host": "a.example.com", "methods": ["BREW"]}, "malformed"),
        ({"host": "a.example.com", "methods": ["CONNECT"]}, "malformed"),
        ({"host": "a.example.com", "methods": []}, "malformed"),
        ({"host": "a.example.com", "paths": ["v1"]}, "malformed"),
        ({"host": "a.example.com", "paths": ["/a/../b"]}, "malformed"),
        ({"host": "a.example.com", "paths": ["/%2e%2e/"]}, "malformed"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_refused_routes(values: dict[str, Any], rule: str) -> None:
    with pytest.raises(Refused) as caught:
        egress(**values)
    assert caught.value.rule == rule


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("\u0430pi.example.com", id="cyrillic a"),
        pytest.param("ap\u0131.example.com", id="dotless i"),
        pytest.param("g\u043e\u043egle.com", id="cyrillic o"),
    ],
)
def test_a_look_alike_is_shown_in_punycode(host: str) -> None:
    wanted = egress(host=host)
    assert str(wanted["host"]).startswith("xn--")
    assert str(wanted["host"]).isascii()


def test_canonical_route() -> None:
    assert egress(host="Bücher.Example.com", methods=["post", "GET"], paths=["/b", "/a"]) == {
        "host": "xn--bcher-kva.example.com", "port": 443, "scheme": "https",
        "methods": ["GET", "POST"], "paths": ["/a", "/b"],
    }  # fmt: skip
    assert egress(host="a.example.com", scheme="http")["port"] == 80
    assert egress(host="a.example.com", port=80)["scheme"] == "http"
    assert egress(host="a.example.com", port=8080)["scheme"] == "https"


def test_what_is_allowed_need_not_be_asked() -> None:
    with pytest.raises(AlreadyAllowed):
        egress(host="files.example.com", methods=["GET"], paths=["/public/x"])
    assert egress(host="files.example.com", methods=["GET"], paths=["/private/"])


def granted(*, host: str, **values: Any) -> Proposal:
    return Proposal("s-00000", "egress", {"host": host, **values}, "x", state="active")


def test_a_granted_route_never_has_a_credential() -> None:
    later = (Route(host="new.example.com", token_ref="API_TOKEN", paths=("/v1/",)),)
    assert grants.with_granted_routes(later, [granted(host="new.example.com")]) == later
    for more in ({"token_ref": "X"}, {"upstream": "127.0.0.1:1"}, {"allow_private": True}):
        assert grants.with_granted_routes((), [granted(host="new.example.com", **more)]) == ()


def test_a_granted_route_reaches_the_host_as_the_operators_does() -> None:
    known = (
        Route(host="files.example.com", paths=("/a/",), upstream="127.0.0.1:9443", upstream_ca="/ca.pem"),
    )
    same = grants.with_granted_routes(known, [granted(host="files.example.com", paths=["/b/"])])[-1]
    other = grants.with_granted_routes(known, [granted(host="files.example.com", port=444)])[-1]
    assert (same.upstream, same.upstream_ca, same.paths) == ("127.0.0.1:9443", "/ca.pem", ("/b/",))
    assert (other.upstream, other.upstream_ca) == (None, None)


def test_a_granted_name_keeps_what_a_wildcard_allowed() -> None:
    routes = grants.with_granted_routes(
        ROUTES, [granted(host="a.wild.example.com", methods=["POST"], paths=["/up"])]
    )
    found = Policy(routes).candidates("a.wild.example.com")
    assert [(route.methods, route.paths) for route in found] == [(("GET",), None), (("POST",), ("/up",))]
    assert len(Policy(routes).candidates("b.wild.example.com")) == 1


@pytest.mark.parametrize(
    ("ref", "rule"),
    [("origin:refs/tags/v1", "ref"), ("origin:refs/foo", "ref"), ("origin:feature/*", "wildcard"),
     ("origin:a..b", "malformed"), ("origin:-x", "malformed"), ("origin:HEAD", "malformed"),
     ("origin:a;touch x", "malformed"), ("origin:x.lock", "malformed"), ("origin:a//b", "malformed"),
     ("origin:" + "0" * 40, "malformed"), ("origin:", "malformed"), ("nowhere:x", "no-remote"), ("x", "malformed")],
)  # fmt: skip
def test_refused_refs(ref: str, rule: str) -> None:
    with pytest.raises(Refused) as caught:
        git_request(GitAsk(ref=ref, reason="x"), REMOTES)
    assert caught.value.rule == rule


def test_canonical_ref() -> None:
    wanted = {"remote": "origin", "branch": "feature/x"}
    assert git_request(GitAsk(ref="origin:refs/heads/feature/x", reason="x"), REMOTES) == wanted
    assert git_request(GitAsk(ref="feature/x", reason="x"), REMOTES[:1]) == wanted
    with pytest.raises(AlreadyAllowed):
        git_request(GitAsk(ref="bottlemux/x", reason="x"), REMOTES[:1])


@pytest.mark.parametrize(
    "values",
    [{}, {"packages": ["--force"]}, {"packages": ["bash-"]}, {"packages": ["a b"]}, {"packages": ["jq;id"]},
     {"dockerfile_lines": ["FROM x"]}, {"dockerfile_lines": ["RUN a\nUSER root"]},
     {"dockerfile_lines": ["RUN a \\"]}, {"dockerfile_lines": ["RUN a \\  "]}, {"dockerfile_lines": ["RUN cat <<END"]},
     {"dockerfile_lines": ["RUN --mount=type=bind,from=x,target=/y a"]},
     {"dockerfile_lines": ["COPY . ."]}],
    ids=str,
)  # fmt: skip
def test_refused_capabilities(values: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        capability_request(CapabilityAsk(reason="x", **values))
