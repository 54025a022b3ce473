"""``bottlemux help``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bottlemux.cli import console
from bottlemux.errors import unknown_name

if TYPE_CHECKING:
    import argparse

    from bottlemux.lifecycle.context import Context

_ACTIONS = "actions"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument(
        "topic", metavar="TOPIC", nargs="?", help="a command, or a topic (default: list them)"
    )
    parser.add_argument(
        "--man", action="store_true", help="print the manual page; bottlemux help --man | man -l -"
    )
    parser.add_argument(
        "--schema", metavar="SCHEMA", help="print the JSON Schema of what a command prints with --json"
    )
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Print the help of a command or the page of a topic; without a name, what there is."""
    from bottlemux.cli.dispatch import COMMANDS, build_parser
    from bottlemux.cli.topics import topic_text, topics

    if options.man:
        from bottlemux.cli.manpage import manual_page

        sys.stdout.write(manual_page())
        return 0
    if options.schema is not None:
        return _print_schema(options.schema)
    if options.topic is None:
        build_parser([]).print_help()
        _list_topics(
            {**topics(), _ACTIONS: "What can be done in the palette, by keys in tmux and in its menus"}
        )
        return 0
    if options.topic == _ACTIONS:
        from bottlemux.actions.report import describe_actions

        console.write_columns(f"{describe_actions(context)}\n")
        return 0
    if options.topic in COMMANDS:
        build_parser([options.topic]).parse_args([options.topic, "--help"])
    text = topic_text(options.topic, flowing=sys.stdout.isatty())
    if text is None:
        raise unknown_name(
            "command or topic", options.topic, [*COMMANDS, *topics(), _ACTIONS], hint="bottlemux help"
        )
    console.write_columns(text)
    return 0


def _print_schema(name: str) -> int:
    from bottlemux.cli.schemas import schema_names, schema_of

    if name not in schema_names():
        raise unknown_name("schema", name, schema_names())
    console.write_json(schema_of(name))
    return 0


def _list_topics(known: dict[str, str]) -> None:
    width = max(map(len, known), default=0)
    rows = "".join(f"  {name:<{width}}  {title}\n" for name, title in known.items())
    console.write_columns(f"\ntopics, shown by 'bottlemux help TOPIC':\n{rows}")
