"""How a bottle's things are called on an engine, and the labels by which they are found again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bottlemux.paths import Paths

SLUG_LABEL = "bottlemux.slug"
ROLE_LABEL = "bottlemux.role"
STATE_LABEL = "bottlemux.state"
BASE_LABEL = "bottlemux.base"
AGENT = "agent"
SIDECARS = "sidecars"
OUTSIDE_NETWORK = "bottlemux-outside"
REPOSITORY = "bottlemux"


def agent_container(identity: str) -> str:
    """Return the name of the container in which the agent is."""
    return f"bottlemux-{identity}"


def sidecars_container(identity: str) -> str:
    """Return the name of the container with the bottle's sidecars."""
    return f"bottlemux-{identity}-sidecars"


def network(identity: str) -> str:
    """Return the name of the network that only these two are on."""
    return f"bottlemux-{identity}"


def labels(paths: Paths, identity: str, role: str) -> dict[str, str]:
    """Return the labels of a thing of the bottle. The state directory tells one user's bottles from another's."""
    return {SLUG_LABEL: identity, ROLE_LABEL: role, STATE_LABEL: str(paths.state)}
