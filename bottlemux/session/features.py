"""What a tmux lacks, and what its options keep from working: told, never changed."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bottlemux.session.server import ServerGoneError, parse_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bottlemux.session.server import TmuxServer


@dataclass(frozen=True)
class Feature:
    """What came with the version ``since``; ``lost`` is what a person misses before it."""

    since: str
    lost: str


FEATURES = (
    Feature("3.3", "a title and a border style for the palette's popup"),
    Feature("3.3", "the line in a pane whose program ended that says how to go on"),
    Feature("3.4", "links in panes"),
    Feature("3.5", "the newer form of extended keys (Shift+Enter) as a choice"),
)
"""Everything else works from the lowest version on: what an older tmux lacks is left out, not worked around."""


@dataclass(frozen=True)
class Advice:
    """What the server's options keep from working, or let through; ``lines`` for tmux.conf would change it."""

    name: str
    detail: str
    lines: tuple[str, ...]


def lacking(version: str) -> list[Feature]:
    """Return what a tmux of ``version`` has not got."""
    return [feature for feature in FEATURES if parse_version(version) < parse_version(feature.since)]


def server_options(server: TmuxServer) -> dict[str, str] | None:
    """Return the options of the running server; those with several values joined by blanks. ``None`` without one."""
    try:
        lines = server.batch([["show-options", "-s"]])
    except ServerGoneError:
        return None
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(" ")
        name = name.partition("[")[0]
        found[name] = " ".join(filter(None, (found.get(name, ""), _plain(value))))
    return found


def advise(options: Mapping[str, str]) -> list[Advice]:
    """Return what the user may want to set, from the options of their server.

    They are options of the whole server: bottlemux only sets options of its own session, windows and panes.
    """
    found: list[Advice] = []
    if options.get("extended-keys", "off") == "off":
        lines: tuple[str, ...] = ("set -s extended-keys on",)
        if "extkeys" not in options.get("terminal-features", ""):
            lines += ("set -as terminal-features 'xterm*:extkeys'",)
        detail = (
            "Shift+Enter arrives as Enter in programs such as Claude Code, where \\ before Enter does instead"
        )
        found.append(Advice("shift+enter", detail, lines))
    if options.get("set-clipboard", "external") == "off":
        detail = "what is copied in tmux does not reach the terminal's clipboard (OSC 52)"
        found.append(Advice("clipboard", detail, ("set -s set-clipboard external",)))
    elif options.get("set-clipboard") == "on":
        detail = "set-clipboard is on: an agent can put anything into your clipboard (OSC 52)"
        found.append(Advice("clipboard", detail, ("set -s set-clipboard external",)))
    return found


def _plain(value: str) -> str:
    try:
        return " ".join(shlex.split(value))
    except ValueError:
        return value
