"""When an action applies: named conditions that return the reason why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bottlemux.actions.model import Subject

_UNKNOWN = "still looking"


def always(_subject: Subject) -> str | None:
    """Apply to everything."""
    return None


def running(subject: Subject) -> str | None:
    """Apply to bottles that run."""
    if subject.alive is None:
        return _UNKNOWN
    return None if subject.alive else "it does not run: resume it first"


def ended(subject: Subject) -> str | None:
    """Apply to bottles that do not run."""
    if subject.alive is None:
        return _UNKNOWN
    return "it is running: stop it first" if subject.alive else None


def startable(subject: Subject) -> str | None:
    """Apply to agents on a machine where some backend works."""
    return subject.blocked or None


def seated(subject: Subject) -> str | None:
    """Apply where we know which tmux client and pane the person looks at."""
    return None if subject.seat is not None else "not in the workspace's tmux"


def any_running(subject: Subject) -> str | None:
    """Apply where some bottle runs, and so has a window."""
    return "no bottle runs" if subject.alive is False else None


def own_layout(subject: Subject) -> str | None:
    """Apply to layouts that the user made."""
    return None if subject.origin in {"user", None} else "not one of yours"


def before_a_bottle(subject: Subject) -> str | None:
    """Apply where the person looks at a bottle's window."""
    return None if subject.seat is not None and subject.seat.slug else "this is no bottle's window"
