"""What an approved proposal changes, by its kind. Everything here may be done twice with the effect of once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bottlemux.errors import BottlemuxError, UnavailableError
from bottlemux.files import write_atomic
from bottlemux.state.liveness import is_alive
from sidecars.egress.routes import RouteSet
from sidecars.supervise import grants

if TYPE_CHECKING:
    from bottlemux.paths import Paths
    from sidecars.egress.routes import Route
    from sidecars.supervise.proposal import Proposal


class Rebuilder(Protocol):
    """Gives a bottle programs that it lacks. Made by who knows bottles and windows."""

    def check(self, proposal: Proposal) -> None:
        """Raise a ``BottlemuxError`` for what could not be carried out. Changes nothing."""
        ...

    def rebuild(self, proposal: Proposal) -> str:
        """Carry ``proposal`` out, which may take minutes; return what the agent is to know besides."""
        ...


def check(paths: Paths, proposal: Proposal, *, persist: bool, rebuilder: Rebuilder | None = None) -> None:
    """Raise a ``BottlemuxError`` for what could not be carried out. Changes nothing."""
    if proposal.kind == "capability":
        _required(rebuilder).check(proposal)
    if proposal.kind == "egress":
        new_routes(paths, proposal)
    if persist:
        from bottlemux.approvals.persisting import new_manifest

        new_manifest(paths, proposal)


def _required(rebuilder: Rebuilder | None) -> Rebuilder:
    if rebuilder is None:
        raise UnavailableError(
            "programs cannot be added to a bottle from here", hint="bottlemux approvals approve ID"
        )
    return rebuilder


def apply(paths: Paths, proposal: Proposal, rebuilder: Rebuilder | None = None) -> str:
    """Carry ``proposal`` out and return what the agent is to know besides. Raises what :func:`check` does."""
    rebuilt = _required(rebuilder).rebuild(proposal) if proposal.kind == "capability" else None
    if proposal.kind == "egress":
        routes = RouteSet(routes=new_routes(paths, proposal)).dump()
        write_atomic(paths.bottle(proposal.slug).routes, routes)
    if proposal.persist:
        from bottlemux.approvals.persisting import persist

        persist(paths, proposal)
    if rebuilt is not None:
        return rebuilt
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
