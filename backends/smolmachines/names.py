"""What a bottle's machine is called, and the labels by which it is found again."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bottlemux.paths import Paths

SLUG_LABEL = "bottlemux"
STATE_LABEL = "bottlemux-state"
_DIGEST_LENGTH = 10


def machine_name(paths: Paths, identity: str) -> str:
    """Return the machine's name: letters, digits and single dashes, a digest at its end so that none is met twice.

    smolvm knows neither dots nor ``--`` in names; the state directory tells one user's bottles from another's.
    """
    readable = re.sub(r"[^a-z0-9]+", "-", identity)
    return f"bottlemux-{readable}-{_digest(f'{paths.state}\0{identity}')}"


def labels(paths: Paths, identity: str) -> dict[str, str]:
    """Return the labels of a bottle's machine."""
    return {SLUG_LABEL: identity, STATE_LABEL: state_label(paths)}


def state_label(paths: Paths) -> str:
    """Return the label that all machines of this state directory have."""
    return _digest(str(paths.state))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
