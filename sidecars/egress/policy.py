"""What may leave a bottle. Pure: no network, no clock, no proxy; every answer has a reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecars.egress import gitpush, names, paths

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidecars.egress.routes import Route

REASONS = frozenset(
    {
        "host-not-allowed", "port-not-allowed", "path-not-allowed", "method-not-allowed", "host-mismatch",
        "private-address", "git-push", "dlp", "too-large", "protocol",
    }
)  # fmt: skip
_NEVER = frozenset({"TRACE", "TRACK", "CONNECT", "PRI", "DEBUG"})
_ASK = "ask the operator with the supervise tool egress-block"


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What a request says about itself, and about the tunnel it came through.

    ``target`` is the path and query as sent. ``host`` and ``port`` are those of an absolute-form target, or of the
    tunnel. ``host_header`` and ``sni`` are as sent; ``sni`` is only looked at when ``tunnel`` is true.
    """

    scheme: str
    host: str
    port: int
    method: str
    target: str
    host_header: str
    tunnel: bool = False
    sni: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict: ``reason`` and ``hint`` are empty if allowed, ``route`` is ``None`` if not.

    ``path`` is the normal form, without the query, as far as it could be made; it is what has to be sent.
    """

    allowed: bool
    reason: str = ""
    hint: str = ""
    route: Route | None = None
    path: str = ""


def _refuse(reason: str, hint: str, path: str = "") -> Decision:
    return Decision(allowed=False, reason=reason, hint=hint, path=path)


class Policy:
    """The routes in a form that answers quickly. Immutable; a change of routes is a new policy.

    The most specific host wins: where an exact route exists for a host, wildcards say nothing about it, and a longer
    wildcard beats a shorter one. Among routes of the same host the first that fits decides.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._by_host: dict[str, list[Route]] = {}
        for route in self.routes:
            self._by_host.setdefault(route.host, []).append(route)

    def candidates(self, host: str) -> list[Route]:
        """Return the routes that decide for a canonical ``host``, most specific host only."""
        if names.is_reserved(host):
            return []
        exact = self._by_host.get(host)
        if exact is not None:
            return exact
        if names.as_address(host) is not None:
            return []
        labels = host.split(".")
        for start in range(1, len(labels)):
            wildcard = self._by_host.get("*." + ".".join(labels[start:]))
            if wildcard is not None:
                return wildcard
        return []

    def connect(self, host: str, port: int) -> Decision:
        """Judge a CONNECT: is there any https route to ``host`` (as sent) and ``port``? Nothing is looked up."""
        canonical = names.canonical_host(host)
        routes = self.candidates(canonical) if canonical is not None else []
        if not routes:
            return _refuse("host-not-allowed", f"no route to this host: {_ASK}")
        on_port = [route for route in routes if route.port == port]
        if not on_port:
            return _refuse("port-not-allowed", f"allowed ports: {_listing(route.port for route in routes)}")
        for route in on_port:
            if route.scheme == "https":
                return Decision(allowed=True, route=route)
        return _refuse("protocol", "this route is plain http: send the request itself, not CONNECT")

    def request(self, facts: RequestFacts) -> Decision:
        """Judge a request by its head. Never raises."""
        agreement = _check_agreement(facts)
        if agreement is not None:
            return agreement
        host = names.canonical_host(facts.host)
        routes = self.candidates(host) if host is not None else []
        if not routes:
            return _refuse("host-not-allowed", f"no route to this host: {_ASK}")
        on_port = [route for route in routes if route.port == facts.port]
        if not on_port:
            return _refuse("port-not-allowed", f"allowed ports: {_listing(route.port for route in routes)}")
        with_scheme = [route for route in on_port if route.scheme == facts.scheme]
        if not with_scheme:
            return _refuse("protocol", f"this route is {on_port[0].scheme} only")
        return _judge_target(with_scheme, facts)


def _check_agreement(facts: RequestFacts) -> Decision | None:
    """Refuse unless the target, the Host header and, in a tunnel, the name in TLS mean the same host and port."""
    target = (names.canonical_host(facts.host), facts.port)
    if target[0] is None:
        return _refuse("host-not-allowed", "the host is not written in its usual form")
    header = names.split_authority(facts.host_header)
    default = 443 if facts.scheme == "https" else 80
    if header is None or (header[0], header[1] or default) != target:
        return _refuse("host-mismatch", "the Host header does not name the host of the request")
    if not facts.tunnel:
        return None
    if facts.sni is None:
        named = names.as_address(target[0]) is not None
    else:
        named = names.canonical_host(facts.sni) == target[0]
    return None if named else _refuse("host-mismatch", "the TLS server name is not the host of CONNECT")


def _judge_target(routes: list[Route], facts: RequestFacts) -> Decision:
    raw, _, query = facts.target.partition("?")
    method = facts.method
    if gitpush.is_push(method, raw, query):
        return _refuse("git-push", gitpush.HINT)
    try:
        path = "*" if raw == "*" and method == "OPTIONS" else paths.normalise(raw)
    except paths.PathError as error:
        return _refuse("path-not-allowed", f"the path has {error}")
    if method in _NEVER or not (method.isascii() and method.isalpha() and method.isupper()):
        return _refuse("method-not-allowed", "this method is never allowed", path)
    return _first_fit(routes, method, path)


def _first_fit(routes: list[Route], method: str, path: str) -> Decision:
    on_path = [route for route in routes if _covers(route, path)]
    for route in on_path:
        if route.methods is None or method in route.methods:
            return Decision(allowed=True, route=route, path=path)
    if on_path:
        allowed = _listing(name for route in on_path for name in route.methods or ())
        return _refuse("method-not-allowed", f"allowed methods: {allowed}", path)
    allowed = _listing(prefix for route in routes for prefix in route.paths or ())
    return _refuse("path-not-allowed", f"allowed paths: {allowed}; or {_ASK}", path)


def _covers(route: Route, path: str) -> bool:
    if route.paths is None:
        return True
    return all(any(paths.is_under(form, prefix) for prefix in route.paths) for form in paths.spellings(path))


def _listing(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values)) or "none"
