"""Answering a shell that completes a command line: argcomplete asks the parsers, this module knows the names.

What an argument stands for is told by its metavar, so a command gets completion by calling its arguments as the
others do. It is asked for at every TAB: nothing heavy is imported, no file is read, no engine is asked.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.cli.parsers import all_arguments
from bottlemux.directories import find_current
from bottlemux.paths import Paths

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

type Names = dict[str, str]
"""What may be written here, each with a word about it; shells that can, show it."""


def answer() -> None:
    """Write the completions that the shell asks for in its environment variables, and end the process."""
    import argcomplete
    from argcomplete.completers import SuppressCompleter

    from bottlemux.cli.dispatch import build_parser

    parser = build_parser(_words())
    for action in all_arguments(parser):
        if complete := _completer(action):
            action.completer = complete  # type: ignore[attr-defined]  # pyright: ignore
    argcomplete.autocomplete(parser, always_complete_options=False, default_completer=SuppressCompleter())


def _words() -> list[str]:
    """Return the words before the one that is completed, without the program's own name."""
    from argcomplete.lexers import split_line

    words: list[str] = split_line(os.environ["COMP_LINE"], int(os.environ["COMP_POINT"]))[3]
    return words[1:]


def _completer(action: argparse.Action) -> Callable[..., object] | None:
    from argcomplete.completers import DirectoriesCompleter, FilesCompleter

    metavar = str(action.metavar)
    if metavar in {"DIR", "FILE"}:
        return DirectoriesCompleter() if metavar == "DIR" else FilesCompleter()
    names = _NAMES.get(metavar)
    if names is None:
        return None

    def complete(**_facts: object) -> Names:
        return names(Paths.from_environ())

    return complete


def _slugs(paths: Paths) -> Names:
    from bottlemux.identity import is_slug
    from bottlemux.state.liveness import is_alive

    found = filter(is_slug, _listed(paths.bottles))
    return {slug: "running" if is_alive(paths.bottle(slug)) else "ended" for slug in found}


def _agents(paths: Paths) -> Names:
    from bottlemux.manifest.loader import list_agents

    return dict.fromkeys(list_agents(paths, _here()), "agent")


def _layouts(paths: Paths) -> Names:
    from bottlemux.manifest.loader import list_layouts

    return dict.fromkeys(list_layouts(paths, _here()), "layout")


def _backends(_paths: Paths) -> Names:
    from backends.registry import known_backend_names

    return dict.fromkeys(known_backend_names(), "backend")


def _services(_paths: Paths) -> Names:
    return dict.fromkeys(("bottle", "egress", "git-gate", "supervise", "supervisor"), "log")


def _proposals(paths: Paths) -> Names:
    return {
        name.removesuffix(".json"): slug
        for slug in _listed(paths.bottles)
        for name in _listed(paths.bottle(slug).proposals)
        if name.endswith(".json")
    }


def _schemas(_paths: Paths) -> Names:
    from bottlemux.cli.schemas import schema_names

    return dict.fromkeys(schema_names(), "schema")


def _topics(_paths: Paths) -> Names:
    from bottlemux.cli.dispatch import COMMANDS
    from bottlemux.cli.topics import topics

    return {**COMMANDS, **topics()}


_NAMES: dict[str, Callable[[Paths], Names]] = {
    "AGENT": _agents,
    "B": _backends,
    "ID": _proposals,
    "L": _layouts,
    "LAYOUT": _layouts,
    "SCHEMA": _schemas,
    "SERVICE": _services,
    "SLUG": _slugs,
    "SLUG... TEXT": _slugs,
    "TOPIC": _topics,
}


def _here() -> Path:
    return Path(find_current(os.environ))


def _listed(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []
