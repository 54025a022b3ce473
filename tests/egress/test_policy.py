"""The policy as a table: pure, no proxy, no network."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecars.egress import names, paths
from sidecars.egress.policy import REASONS, Policy, RequestFacts
from sidecars.egress.routes import Route

ROUTES = [
    Route(host="api.example.com", methods=("GET", "POST"), paths=("/v1/", "/exact")),
    Route(host="api.example.com", methods=("DELETE",), paths=("/v2",)),
    Route(host="api.example.com", port=8443),
    Route(host="*.wild.example.com"),
    Route(host="*.deep.wild.example.com", methods=("GET",)),
    Route(host="only.wild.example.com", paths=("/a/",)),
    Route(host="plain.example.com", scheme="http"),
    Route(host="203.0.113.7"),
    Route(host="2001:db8::1"),
    Route(host="git.example.com"),
    Route(host="registry.example.com", paths=("/@scope/", "/pkg")),
]
POLICY = Policy(ROUTES)


def facts(**changes: Any) -> RequestFacts:
    values: dict[str, Any] = {
        "scheme": "https",
        "host": "api.example.com",
        "port": 443,
        "method": "GET",
        "target": "/v1/x",
        "tunnel": True,
    }
    values.update(changes)
    values.setdefault("host_header", names.host_port(values["host"], values["port"], values["scheme"]))
    values.setdefault("sni", None if names.as_address(values["host"]) else values["host"])
    return RequestFacts(**values)


CONNECTS = [
    ("api.example.com", 443, ""),
    ("API.Example.COM", 443, ""),
    ("api.example.com.", 443, ""),
    ("api.example.com", 8443, ""),
    ("api.example.com", 444, "port-not-allowed"),
    ("api.example.com..", 443, "host-not-allowed"),
    (".api.example.com", 443, "host-not-allowed"),
    ("xapi.example.com", 443, "host-not-allowed"),
    ("api.example.com.evil.com", 443, "host-not-allowed"),
    ("api.example.com\0.evil.com", 443, "host-not-allowed"),
    ("api.example.com%00", 443, "host-not-allowed"),
    ("\u0430pi.example.com", 443, "host-not-allowed"),
    ("a.wild.example.com", 443, ""),
    ("a.b.wild.example.com", 443, ""),
    ("wild.example.com", 443, "host-not-allowed"),
    ("xwild.example.com", 443, "host-not-allowed"),
    ("plain.example.com", 80, "protocol"),
    ("203.0.113.7", 443, ""),
    ("203.0.113.07", 443, "host-not-allowed"),
    ("203.0.29447", 443, "host-not-allowed"),
    ("0xcb007107", 443, "host-not-allowed"),
    ("3405803783", 443, "host-not-allowed"),
    ("::ffff:203.0.113.7", 443, "host-not-allowed"),
    ("[2001:db8::1]", 443, ""),
    ("2001:0DB8:0:0::1", 443, ""),
    ("[2001:db8::1%eth0]", 443, "host-not-allowed"),
    ("127.0.0.1", 443, "host-not-allowed"),
    ("127.1", 443, "host-not-allowed"),
    ("0", 443, "host-not-allowed"),
    ("localhost", 443, "host-not-allowed"),
    ("egress", 443, "host-not-allowed"),
    ("supervise", 9100, "host-not-allowed"),
    ("git-gate", 9418, "host-not-allowed"),
    ("_egress.local", 443, "host-not-allowed"),
    ("169.254.169.254", 80, "host-not-allowed"),
    ("metadata.google.internal", 80, "host-not-allowed"),
    ("", 443, "host-not-allowed"),
    ("*.wild.example.com", 443, "host-not-allowed"),
]


@pytest.mark.parametrize(("host", "port", "reason"), CONNECTS, ids=[f"{c[0]!r}:{c[1]}" for c in CONNECTS])
def test_connect(host: str, port: int, reason: str) -> None:
    decision = POLICY.connect(host, port)
    assert (decision.allowed, decision.reason) == (not reason, reason)
    assert bool(decision.hint) == bool(reason)


def test_reserved_hosts_are_refused_even_under_a_wildcard() -> None:
    policy = Policy([Route(host="*.google.internal"), Route(host="*.ec2.internal")])
    assert policy.connect("x.google.internal", 443).allowed
    assert not policy.connect("metadata.google.internal", 443).allowed
    assert not policy.connect("instance-data.ec2.internal.", 443).allowed


REQUESTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("allowed", {}, "", "/v1/x"),
    ("query is not the path", {"target": "/v1/x?../../y"}, "", "/v1/x"),
    ("post", {"method": "POST"}, "", "/v1/x"),
    ("method", {"method": "PUT"}, "method-not-allowed", "/v1/x"),
    ("method of the other path", {"method": "DELETE"}, "method-not-allowed", "/v1/x"),
    ("second route", {"method": "DELETE", "target": "/v2/a"}, "", "/v2/a"),
    ("boundary itself", {"method": "DELETE", "target": "/v2"}, "", "/v2"),
    ("not a boundary", {"method": "DELETE", "target": "/v2beta"}, "path-not-allowed", "/v2beta"),
    ("slash prefix is below only", {"target": "/v1"}, "path-not-allowed", "/v1"),
    ("exact", {"target": "/exact"}, "", "/exact"),
    ("case matters", {"target": "/V1/x"}, "path-not-allowed", "/V1/x"),
    ("dot segments resolve", {"target": "/v1/../v1/./x"}, "", "/v1/x"),
    ("dot segments escape", {"target": "/v1/../admin"}, "path-not-allowed", "/admin"),
    ("above the root", {"target": "/../../v1/x"}, "", "/v1/x"),
    ("double slashes", {"target": "//v1//x"}, "", "/v1/x"),
    ("unreserved decoded", {"target": "/%76%31/x"}, "", "/v1/x"),
    ("hex upper", {"target": "/v1/%c3%a9"}, "", "/v1/%C3%A9"),
    ("space kept", {"target": "/v1/a%20b"}, "", "/v1/a%20B".replace("B", "b")),
    ("encoded slash", {"target": "/v1%2fx"}, "path-not-allowed", ""),
    ("encoded slash deep", {"target": "/v1/a%2F..%2Fadmin"}, "path-not-allowed", ""),
    ("encoded dots", {"target": "/v1/%2e%2e/admin"}, "path-not-allowed", ""),
    ("half encoded dots", {"target": "/v1/.%2e/admin"}, "path-not-allowed", ""),
    ("encoded null", {"target": "/v1/x%00"}, "path-not-allowed", ""),
    ("encoded newline", {"target": "/v1/x%0d%0ahost:%20evil"}, "path-not-allowed", ""),
    ("encoded backslash", {"target": "/v1/..%5cadmin"}, "path-not-allowed", ""),
    ("backslash", {"target": "/v1/..\\admin"}, "path-not-allowed", ""),
    ("double encoding", {"target": "/v1/%252e%252e/admin"}, "path-not-allowed", ""),
    ("double encoding, of decodable digits", {"target": "/v1/%25%32%65"}, "path-not-allowed", ""),
    ("overlong slash", {"target": "/v1/..%c0%af"}, "path-not-allowed", ""),
    ("overlong dot", {"target": "/v1/%c0%ae%c0%ae/admin"}, "path-not-allowed", ""),
    ("full-width slash", {"target": "/v1/..%ef%bc%8fadmin"}, "path-not-allowed", ""),
    ("one dot leader", {"target": "/v1/%e2%80%a4%e2%80%a4/admin"}, "path-not-allowed", ""),
    ("broken escape", {"target": "/v1/%zz"}, "path-not-allowed", ""),
    ("short escape", {"target": "/v1/%2"}, "path-not-allowed", ""),
    ("dot segment with parameters", {"target": "/v1/..;/admin"}, "path-not-allowed", ""),
    ("raw utf-8", {"target": "/v1/é"}, "path-not-allowed", ""),
    ("no leading slash", {"target": "v1/x"}, "path-not-allowed", ""),
    ("empty", {"target": ""}, "path-not-allowed", ""),
    ("asterisk with paths", {"target": "*", "method": "OPTIONS"}, "path-not-allowed", "*"),
    ("asterisk", {"host": "git.example.com", "target": "*", "method": "OPTIONS"}, "", "*"),
    ("trace", {"host": "git.example.com", "method": "TRACE"}, "method-not-allowed", "/v1/x"),
    ("connect inside", {"host": "git.example.com", "method": "CONNECT"}, "method-not-allowed", "/v1/x"),
    ("lower-case method", {"host": "git.example.com", "method": "get"}, "method-not-allowed", "/v1/x"),
    ("scheme", {"scheme": "http", "tunnel": False, "host_header": "api.example.com:443"}, "protocol", ""),
    ("http", {"scheme": "http", "host": "plain.example.com", "port": 80, "tunnel": False}, "", "/v1/x"),
    ("https to http route", {"host": "plain.example.com", "port": 80}, "protocol", ""),
    ("host header", {"host_header": "evil.com"}, "host-mismatch", ""),
    ("host header port", {"host_header": "api.example.com:8443"}, "host-mismatch", ""),
    ("host header default port", {"host_header": "API.example.com.:443"}, "", "/v1/x"),
    ("host header userinfo", {"host_header": "x@api.example.com"}, "host-mismatch", ""),
    ("host header empty", {"host_header": ""}, "host-mismatch", ""),
    ("host header two", {"host_header": "api.example.com, evil.com"}, "host-mismatch", ""),
    ("sni", {"sni": "evil.com"}, "host-mismatch", ""),
    ("no sni", {"sni": None}, "host-mismatch", ""),
    ("sni case", {"sni": "API.example.com"}, "", "/v1/x"),
    ("address without sni", {"host": "203.0.113.7", "sni": None}, "", "/v1/x"),
    ("unknown host", {"host": "evil.com"}, "host-not-allowed", ""),
    ("unknown port", {"port": 444}, "port-not-allowed", ""),
    ("wildcard", {"host": "a.wild.example.com", "method": "PUT"}, "", "/v1/x"),
    ("longer wildcard", {"host": "a.deep.wild.example.com", "method": "PUT"}, "method-not-allowed", "/v1/x"),
    ("exact before wildcard", {"host": "only.wild.example.com"}, "path-not-allowed", "/v1/x"),
    ("scoped package", {"host": "registry.example.com", "target": "/@scope%2fn"}, "path-not-allowed", "/@scope%2Fn"),
    ("scoped package, any path", {"host": "git.example.com", "target": "/@s%2fname/x"}, "", "/@s%2Fname/x"),
    ("scoped twice", {"host": "git.example.com", "target": "/@s%2fa%2fb"}, "path-not-allowed", ""),
    ("scoped escape", {"host": "git.example.com", "target": "/@s%2f../x"}, "path-not-allowed", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason", "path"), [case[1:] for case in REQUESTS], ids=[case[0] for case in REQUESTS]
)
def test_request(changes: dict[str, Any], reason: str, path: str) -> None:
    decision = POLICY.request(facts(**changes))
    assert (decision.allowed, decision.reason, decision.path) == (not reason, reason, path)
    assert (decision.route is not None) == decision.allowed


PUSHES = [
    ("GET", "/o/r.git/info/refs?service=git-receive-pack"),
    ("GET", "/o/r.git/info/refs?service=git%2Dreceive%2Dpack"),
    ("GET", "/o/r.git/info/refs?%73ervice=%67it-receive-pack"),
    ("GET", "/o/r.git/info/refs?service=git-upload-pack&service=git-receive-pack"),
    ("GET", "/o/r.git/info/refs?service=git-receive-pack&service=git-upload-pack"),
    ("GET", "/o/r.git/info/refs?service=git-receive-pack%00x"),
    ("GET", "/o/r.git/info/refs?a;service=git-receive-pack"),
    ("GET", "/o/r.git/info/refs?SERVICE=GIT-RECEIVE-PACK"),
    ("GET", "/o/r.git/info/refs?service=git%252Dreceive-pack"),
    ("POST", "/o/r.git/git-receive-pack"),
    ("POST", "/o/r/git-receive-pack"),
    ("POST", "/o/r/git%2Dreceive%2Dpack"),
    ("POST", "/o/r/git-receive-pack/"),
    ("POST", "/o/r/%67it-receive-pack%00"),
    ("PUT", "/o/r.git/info/lfs/objects/abc"),
    ("POST", "/o/r.git/info/lfs/locks"),
    ("PUT", "/o/r.git/gitlab-lfs/objects/abc/1"),
    ("PUT", "/o/r.git/refs/heads/main"),
    ("MKCOL", "/o/r.git/"),
    ("PROPFIND", "/o/r.git/"),
    ("LOCK", "/x"),
    ("MOVE", "/x"),
]


@pytest.mark.parametrize(("method", "target"), PUSHES, ids=[f"{m} {t}" for m, t in PUSHES])
def test_pushes_are_refused_on_every_route(method: str, target: str) -> None:
    decision = POLICY.request(facts(host="git.example.com", method=method, target=target))
    assert decision.reason == "git-push"
    assert "git-gate" in decision.hint


FETCHES = [
    ("GET", "/o/r.git/info/refs?service=git-upload-pack"),
    ("POST", "/o/r.git/git-upload-pack"),
    ("POST", "/o/r.git/info/lfs/objects/batch"),
    ("GET", "/search?q=service%3Dgit-receive-pack"),
    ("GET", "/docs/git-receive-pack.html"),
    ("PUT", "/o/r/contents/x"),
]


@pytest.mark.parametrize(("method", "target"), FETCHES, ids=[f"{m} {t}" for m, t in FETCHES])
def test_what_is_no_push_passes(method: str, target: str) -> None:
    assert POLICY.request(facts(host="git.example.com", method=method, target=target)).allowed


TEXT = st.text(
    alphabet=st.one_of(st.sampled_from("./%\\@:;[]25eEfFcC0aA-_*\0 \r\n"), st.characters()), max_size=40
)
PATHS = st.lists(
    st.sampled_from(["/", "v1", "..", ".", "%2e", "%2f", "%25", "%41", "%c3%a9", "é", ";", "\\", "//", "a%20b"]),
    max_size=12,
).map("".join)  # fmt: skip


@given(host=TEXT, header=TEXT, sni=st.none() | TEXT, method=TEXT, target=TEXT, port=st.integers(-5, 70000))
@settings(max_examples=300, deadline=None)
def test_no_input_makes_the_policy_raise(
    host: str, header: str, sni: str | None, method: str, target: str, port: int
) -> None:
    for scheme in ("http", "https"):
        decision = POLICY.request(RequestFacts(scheme, host, port, method, target, header, True, sni))
        assert decision.allowed != (decision.reason in REASONS)
    assert POLICY.connect(host, port).reason in REASONS | {""}


@given(target=st.one_of(TEXT, PATHS).map(lambda text: "/" + text))
@settings(max_examples=500, deadline=None)
def test_verdicts_are_stable_under_normalisation(target: str) -> None:
    for host in ("api.example.com", "git.example.com"):
        first = POLICY.request(facts(host=host, target=target.partition("?")[0]))
        if first.path:
            again = POLICY.request(facts(host=host, target=first.path))
            assert (again.allowed, again.reason, again.path, again.route) == (
                first.allowed,
                first.reason,
                first.path,
                first.route,
            )


@given(path=PATHS.map(lambda text: "/" + text))
@settings(max_examples=500, deadline=None)
def test_a_normal_path_has_no_dot_segments_and_is_a_fixed_point(path: str) -> None:
    try:
        normal = paths.normalise(path)
    except paths.PathError:
        return
    assert paths.normalise(normal) == normal
    assert not {".", ".."} & set(normal.split("/"))
    assert "//" not in normal
    assert normal.isascii()


@given(host=TEXT)
def test_a_canonical_host_is_a_fixed_point(host: str) -> None:
    canonical = names.canonical_host(host)
    if canonical is not None:
        assert names.canonical_host(canonical) == canonical


@pytest.mark.parametrize(
    ("changes", "warned"),
    [({}, True), ({"allow_private": True}, False), ({"upstream": "127.0.0.1:1"}, False)],
    ids=["plain", "allowed", "upstream"],
)
def test_a_private_address_without_leave_is_warned_of(changes: dict[str, Any], warned: bool) -> None:
    assert bool(Route(host="10.0.0.1", **changes).warnings()) is warned
