"""The manual page, from the parsers: nothing in it is written twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux import __version__
from bottlemux.cli import selection
from bottlemux.cli.dispatch import COMMANDS, build_parser
from bottlemux.cli.parsers import arguments_of, subparsers_of
from bottlemux.errors import BottlemuxError, NotFoundError, UnavailableError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

VARIABLES = {
    "BOTTLEMUX_BACKEND": "what runs bottles, unless --backend says otherwise",
    "BOTTLEMUX_BASE_IMAGE": "the image that Docker's are built from",
    "BOTTLEMUX_BUILD_CA": "a file of certificate authorities that builds of images trust besides",
    "BOTTLEMUX_CONFIG_DIR": "settings and manifests; default: $XDG_CONFIG_HOME/bottlemux",
    "BOTTLEMUX_STATE_DIR": "what outlives a bottle's run; default: $XDG_STATE_HOME/bottlemux",
    "BOTTLEMUX_TMUX_SOCKET": "the tmux server to use, by name",
    "NO_COLOR": "when set, nothing is coloured",
}
FILES = {
    "config.toml": "settings",
    "bottles/NAME.md": "a bottle: what may be reached",
    "agents/NAME.md": "an agent: a program, its instructions and its bottle",
    "skills/NAME/SKILL.md": "a skill that agents may be given",
    "layouts/NAME.yaml": "a layout of panes",
}


def exit_codes() -> dict[str, str]:
    """Return what each exit code means."""
    kinds = (BottlemuxError, UsageError, UnavailableError, NotFoundError)
    said = (
        "failed",
        "wrong usage or manifest",
        "backend or tool unavailable",
        "no such bottle, agent, layout or proposal",
    )
    return {
        "0": "done",
        **{str(kind.exit_code): text for kind, text in zip(kinds, said, strict=True)},
        "130": "interrupted",
    }


def full_usage(parser: argparse.ArgumentParser) -> str:
    """Return the usage of ``parser`` on one line, without the word and with the same width everywhere."""
    return " ".join(parser.format_usage().removeprefix("usage: ").split())


def shown(action: argparse.Action) -> str:
    """Return how an argument is written: its options with what they take, or its name."""
    takes = str(action.metavar or (action.dest.upper() if action.nargs != 0 else ""))
    if action.choices is not None and not action.metavar:
        takes = "{" + ",".join(map(str, action.choices)) + "}"
    if not action.option_strings:
        return takes
    names = ", ".join(action.option_strings)
    return names if action.nargs == 0 else f"{names} {takes}"


def is_shown(action: argparse.Action) -> bool:
    """Say whether an argument belongs in a description: help is everywhere, and commands have a place of their own."""
    import argparse

    return action.dest != "help" and action.help != argparse.SUPPRESS and action.nargs != argparse.PARSER


def manual_page() -> str:
    """Return the manual page, as ``man`` reads it."""
    lines = [
        f'.TH BOTTLEMUX 1 "" "bottlemux {__version__}" "User Commands"',
        ".SH NAME",
        r"bottlemux \- run coding agents side by side in tmux, each in an isolated bottle",
        ".SH SYNOPSIS",
        ".B bottlemux",
        r"[\-\-socket\-name NAME] COMMAND [ARGUMENTS]",
        ".SH COMMANDS",
    ]
    for name in COMMANDS:
        lines += _command(name)
    lines += [".SH SEVERAL BOTTLES", _escaped(selection.RULE)]
    lines += [".SH EXIT STATUS", *_table(exit_codes())]
    lines += [".SH ENVIRONMENT", *_table(VARIABLES)]
    lines += [".SH FILES", "Below the configuration directory:", *_table(FILES)]
    lines += [".SH SEE ALSO", r"bottlemux help, tmux(1), bwrap(1)"]
    return "\n".join(lines) + "\n"


def _command(name: str) -> Iterator[str]:
    parser = subparsers_of(build_parser([name]))[name][0]
    yield f".SS {_escaped(name)}"
    yield _escaped(f"{COMMANDS[name][0].upper()}{COMMANDS[name][1:]}.")
    yield ".PP"
    yield f".I {_escaped(full_usage(parser))}"
    yield from _arguments(parser)
    for action, (below, text) in subparsers_of(parser).items():
        yield ".TP"
        yield f".B {_escaped(f'{name} {action}')}"
        yield _escaped(text or (below.description or ""))
        yield ".RS"
        yield from _arguments(below)
        yield ".RE"


def _arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in filter(is_shown, arguments_of(parser)):
        yield ".TP"
        yield f".B {_escaped(shown(action))}"
        yield _escaped(action.help or "")


def _table(rows: dict[str, str]) -> Iterator[str]:
    for name, text in rows.items():
        yield ".TP"
        yield f".B {_escaped(name)}"
        yield _escaped(text)


def _escaped(text: str) -> str:
    """Return ``text`` so that no character of it is a command to ``man``."""
    plain = text.replace("\\", r"\e").replace("-", r"\-").replace("%%", "%")
    return rf"\&{plain}" if plain.startswith((".", "'")) else plain
