"""What an approved proposal changes, by its kind. Everything here may be done twice with the effect of once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError, UnavailableError
from bottlemux.files import write_atomic
from bottlemux.state.liveness import is_alive
from sidecars.egress.routes import RouteSet
from sidecars.supervise import grants

if TYPE_CHECKING:
    from bottlemux.paths import Paths
    from sidecars.egress.routes import Route
    from sidecars.supervise.proposal import Proposal


def check(paths: Paths, proposal: Proposal, *, persist: bool) -> None:
    """Raise a ``BottlemuxError`` for what could not be carried out. Changes nothing."""
    if proposal.kind == "capability":
        raise UnavailableError("no backend here can rebuild a bottle, so programs cannot be added")
    if proposal.kind == "egress":
        new_routes(paths, proposal)
    if persist:
        from bottlemux.approvals.persisting import new_manifest

        new_manifest(paths, proposal)


def apply(paths: Paths, proposal: Proposal) -> str:
    """Carry ``proposal`` out and return what the agent is to know besides. Raises what :func:`check` does."""
    if proposal.kind == "egress":
        routes = RouteSet(routes=new_routes(paths, proposal)).dump()
        write_atomic(paths.bottle(proposal.slug).routes, routes)
    if proposal.persist:
        from bottlemux.approvals.persisting import persist

        persist(paths, proposal)
    # git-gate reads the granted branches anew for each push.
    return "" if is_alive(paths.bottle(proposal.slug)) else "in force when the bottle comes back"


def present_routes(paths: Paths, slug: str) -> tuple[Route, ...]:
    """Return the routes in force for a bottle; none for one that never ran."""
    try:
        return RouteSet.load(paths.bottle(slug).routes).routes
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise BottlemuxError(f"the routes of {slug} cannot be read: {error}") from error


def new_routes(paths: Paths, proposal: Proposal) -> tuple[Route, ...]:
    """Return the routes of the bottle with what ``proposal`` asks for."""
    present = present_routes(paths, proposal.slug)
    try:
        return grants.with_route(present, grants.asked_route(proposal.request, present))
    except grants.CredentialedHost as host:
        raise BottlemuxError(
            f"requests to {host} carry a credential, whose use only the manifest may widen",
            hint="edit the bottle's manifest, then stop and resume the bottle",
        ) from None
    except ValueError as error:
        raise BottlemuxError(f"proposal {proposal.id} asks for no valid route") from error
