"""Looking into the parsers: what completion, the man page and the reference are made from.

``argparse`` keeps its actions to itself; this is the one place that reaches for them.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator


def arguments_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the arguments of ``parser`` itself."""
    return list(parser._actions)  # pyright: ignore[reportPrivateUsage]


def subparsers_of(parser: argparse.ArgumentParser) -> dict[str, tuple[argparse.ArgumentParser, str]]:
    """Return the commands below ``parser`` by name, each with its line of help; not those that have none to hide."""
    for action in arguments_of(parser):
        if isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            helps = {item.dest: item.help or "" for item in action._choices_actions}  # pyright: ignore
            inner = cast("dict[str, argparse.ArgumentParser]", action.choices)  # pyright: ignore
            return {name: (below, helps[name]) for name, below in inner.items() if name in helps}
    return {}


def all_arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of ``parser`` and of everything below it."""
    yield from arguments_of(parser)
    for below, _ in subparsers_of(parser).values():
        yield from all_arguments(below)
