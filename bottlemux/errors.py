"""Errors a person reads: what happened, why, and what to do next.

``bottlemux.cli.dispatch`` is the one place that turns them into text and an exit code.
"""

from __future__ import annotations

_SHOWN_NAMES = 20

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import ClassVar


class BottlemuxError(Exception):
    """Base of every expected error.

    ``message`` is one line without a final period; ``hint`` says what to do next and may be empty. Neither may
    hold a secret: both reach terminals and logs. ``topic`` is the page of ``bottlemux help`` that explains more;
    ``also`` are further mistakes, each a line like ``message``.
    """

    exit_code: ClassVar[int] = 1
    topic: str = ""

    def __init__(self, message: str, *, hint: str = "", topic: str = "", also: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.also = tuple(also)
        self.hint = hint
        self.topic = topic or self.topic

    @property
    def advice(self) -> str:
        """The hint without the option at its end, for who has no command line to type it on."""
        return self.hint.partition(": --")[0]


class UsageError(BottlemuxError):
    """The command line, a manifest, a layout or a configuration file is wrong."""

    exit_code = 2


class UnavailableError(BottlemuxError):
    """A backend or a tool that is needed is missing or does not work on this machine."""

    exit_code = 3
    topic = "unavailable"


class NotFoundError(BottlemuxError):
    """No bottle, agent, layout or proposal of that name."""

    exit_code = 4
    topic = "names"


def unknown_name(kind: str, name: str, known: list[str], *, hint: str = "") -> NotFoundError:
    """Return the error for an unknown ``name``, listing the ``known`` ones, with the nearest as a hint."""
    near = nearest(name, known)
    hints = [f"did you mean {near!r}?"] if near else []
    return NotFoundError(
        f"no {kind} {name!r} (known: {_listing(known)})", hint=" ".join([*hints, hint]).strip()
    )


def nearest(name: str, known: list[str]) -> str:
    """Return which of ``known`` was probably meant by ``name``; empty when none is close."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, known, n=1)), "")


def _listing(known: list[str]) -> str:
    shown = sorted(known)[:_SHOWN_NAMES]
    more = len(known) - len(shown)
    return ", ".join([*shown, *([f"and {more} more"] if more else [])]) or "none"
