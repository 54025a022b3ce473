"""How a bottle's things are called on an engine, and the labels by which they are found again."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

from bottlemux.files import make_private_dir

if TYPE_CHECKING:
    from bottlemux.paths import Paths

SLUG_LABEL = "bottlemux.slug"
ROLE_LABEL = "bottlemux.role"
STATE_LABEL = "bottlemux.state"
BASE_LABEL = "bottlemux.base"
DOCKERFILE_LABEL = "bottlemux.dockerfile"
AGENT = "agent"
SIDECARS = "sidecars"
PORTER = "porter"
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


def porter_container(identity: str) -> str:
    """Return the name of the container by which files get into the volumes of an engine elsewhere; it never runs."""
    return f"bottlemux-{identity}-porter"


def brought_volume(identity: str) -> str:
    """Return the name of the volume with what a launch brings; it goes with the containers."""
    return f"bottlemux-{identity}-brought"


def kept_volume(identity: str) -> str:
    """Return the name of the volume with home, working copy and records; it goes when the bottle's state does."""
    return f"bottlemux-{identity}-kept"


def labels(owner: str, identity: str, role: str) -> dict[str, str]:
    """Return the labels of a thing of the bottle. ``owner`` tells one user's bottles from another's."""
    return {SLUG_LABEL: identity, ROLE_LABEL: role, STATE_LABEL: owner}


def owner(paths: Paths, *, elsewhere: bool) -> str:
    """Return what this state directory calls itself on an engine: several machines may have one of this name.

    An engine elsewhere gets a random name besides, which is made when it is first asked for.
    """
    if not elsewhere:
        return str(paths.state)
    with contextlib.suppress(FileExistsError):
        make_private_dir(paths.state)
        descriptor = os.open(paths.installation, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_hex(8))
    return f"{paths.installation.read_text('ascii')}:{paths.state}"
