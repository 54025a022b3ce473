"""What approved proposals add to a bottle's policy: pure, and the same at approval, at launch and in the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sidecars.egress import paths
from sidecars.egress.policy import Policy
from sidecars.egress.routes import Route

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sidecars.git_gate.remotes import GitRemote
    from sidecars.supervise.proposal import Proposal

_ASKABLE = frozenset({"host", "port", "scheme", "methods", "paths"})
_REACHING = ("upstream", "upstream_ca", "allow_private", "pipelock")


class CredentialedHost(ValueError):  # noqa: N818 - a fact about a host
    """The host's requests get a credential: what that may be used for is for the manifest alone to say."""


def asked_route(request: Mapping[str, object], routes: Sequence[Route]) -> Route:
    """Return the route that ``request`` asks for, beside the present ``routes``.

    It never has a credential: where a route of the host has one, :class:`CredentialedHost` is raised. How the host
    is reached and scanned is taken over from the operator's route to the same port. Raises ``ValueError`` for a
    request that is no route.
    """
    if not _ASKABLE.issuperset(request):
        raise ValueError("a route can be asked for by host, port, scheme, methods and paths only")
    bare = Route.model_validate(dict(request))
    known = Policy(routes).candidates(bare.host)
    if any(route.token_ref is not None for route in known):
        raise CredentialedHost(bare.host)
    same = next((route for route in known if (route.port, route.scheme) == (bare.port, bare.scheme)), None)
    if same is None:
        return bare
    return bare.model_copy(update={name: getattr(same, name) for name in _REACHING})


def with_route(routes: Sequence[Route], asked: Route) -> tuple[Route, ...]:
    """Return ``routes`` with ``asked`` added, which is ``routes`` itself where they allow as much.

    A route for a name puts every wildcard out of force for it, so the ones that held are repeated for the name.
    """
    if is_covered(routes, asked):
        return tuple(routes)
    exact = any(route.host == asked.host for route in routes)
    held = () if exact else Policy(routes).candidates(asked.host)
    repeated = tuple(route.model_copy(update={"host": asked.host}) for route in held)
    return (*routes, *repeated, asked)


def is_covered(routes: Sequence[Route], asked: Route) -> bool:
    """Tell whether a single route allows all that ``asked`` would."""
    return any(
        (route.port, route.scheme) == (asked.port, asked.scheme)
        and (
            route.methods is None or (asked.methods is not None and set(asked.methods) <= set(route.methods))
        )
        and (route.paths is None or (asked.paths is not None and _below(asked.paths, route.paths)))
        for route in Policy(routes).candidates(asked.host)
    )


def _below(wanted: Sequence[str], prefixes: Sequence[str]) -> bool:
    return all(any(paths.is_under(path, prefix) for prefix in prefixes) for path in wanted)


def with_granted_routes(routes: Sequence[Route], proposals: Iterable[Proposal]) -> tuple[Route, ...]:
    """Return ``routes`` with all that was granted in ``proposals``, in their order.

    What the operator's routes rule out by now (a host that got a credential since) is left out.
    """
    result = tuple(routes)
    for proposal in proposals:
        if proposal.kind == "egress" and proposal.granted:
            try:
                result = with_route(result, asked_route(proposal.request, result))
            except ValueError:
                continue
    return result


def with_granted_branches(remote: GitRemote, proposals: Iterable[Proposal]) -> GitRemote:
    """Return ``remote`` with the branches that were granted for it in ``proposals``."""
    granted = [
        cast("str", proposal.request["branch"])
        for proposal in proposals
        if proposal.kind == "git" and proposal.granted and proposal.request.get("remote") == remote.name
    ]
    new = [branch for branch in dict.fromkeys(granted) if branch not in remote.branches]
    return remote.model_copy(update={"branches": (*remote.branches, *new)}) if new else remote
