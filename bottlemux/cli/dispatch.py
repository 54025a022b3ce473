"""Finds the command and runs it; the one place that turns errors into text and exit codes."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from bottlemux import __version__
from bottlemux.cli.console import Become
from bottlemux.errors import BottlemuxError, UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "attach": "make or join the workspace",
    "start": "start an agent in a new bottle",
    "resume": "bring bottles back under their identity",
    "stop": "end bottles; their state stays",
    "rm": "delete the state of ended bottles",
    "prompt": "submit a prompt to agents that run",
    "exec": "run a command in a bottle",
    "list": "list bottles, agents, backends, layouts",
    "status": "show how bottles are doing",
    "info": "show an agent with everything it refers to",
    "logs": "show the logs of a bottle's sidecars",
    "audit": "show every allow and block of a bottle",
    "approvals": "decide about what agents ask for",
    "diff": "show what an agent changed",
    "fetch": "bring an agent's commits into the project's repository",
    "layout": "save window layouts, and give them to running windows",
    "keys": "bind one tmux key to all of bottlemux's, and undo it exactly",
    "dashboard": "show all bottles, and decide, go, stop, resume from there",
    "palette": "open the command palette",
    "images": "list, build or prune the images of Docker bottles",
    "doctor": "say what works on this machine and how to mend the rest",
    "cleanup": "remove what no live bottle owns",
    "init": "write a bottle and an agent of your own, asking three questions",
    "completion": "print what lets bash, zsh or fish complete commands, bottles and agents",
    "help": "explain a command, a topic or an error",
}
_INTERRUPTED = 130
_SHOWN_FRAMES = 4
_BELOW_HINT = " " * len("hint: ")
_SOCKET_NAME = "--socket-name"
_FOR_PROGRAMS = frozenset({"start", "exec"})


class _Parser(argparse.ArgumentParser):
    """Reports wrong usage in bottlemux's own form, and never guesses abbreviations."""

    def __init__(self, *args: object, **options: object) -> None:
        options.setdefault("allow_abbrev", False)
        super().__init__(*args, **options)  # type: ignore[arg-type]  # pyright: ignore

    def error(self, message: str) -> NoReturn:
        raise wrong_usage(message, self.prog)


_CHOICE = re.compile(
    r"argument (?P<what>[^:]+): invalid choice: '(?P<given>.*)' \(choose from (?P<known>.*)\)"
)


def wrong_usage(message: str, program: str) -> UsageError:
    """Return the error for what argparse says, with what was probably meant."""
    hint = f"{program} --help"
    if not (found := _CHOICE.fullmatch(message)):
        return UsageError(message, hint=hint)
    if near := nearest(found["given"], re.findall(r"[\w-]+", found["known"])):
        hint = f"did you mean {near!r}? {hint}"
    if found["what"] == "COMMAND":
        return UsageError(f"no command {found['given']!r}", hint=hint)
    return UsageError(message, hint=hint)


def dispatch(words: list[str]) -> int:
    """Run one command and return its exit code; every expected error is one line on standard error."""
    try:
        return run_here(words)
    except Become as become:
        sys.stdout.flush()
        os.execvp(become.argv[0], become.argv)


def run_here(words: list[str]) -> int:
    """Run one command in this process; raises only :class:`Become`."""
    try:
        return _run(words)
    except Become:
        raise
    except SystemExit as ended:  # argparse has printed a help: in a fork of the zygote this would be a crash
        return int(ended.code or 0)
    except BottlemuxError as error:
        return report(error)
    except KeyboardInterrupt as interrupt:
        with contextlib.suppress(OSError):  # what interrupts may be the end of the terminal
            _report_interrupt(str(interrupt))
        return _INTERRUPTED
    except BrokenPipeError:
        return reader_gone()
    except OSError as error:
        return report(_refused_by_system(error))
    except Exception as error:  # noqa: BLE001 - a person gets a line, whatever went wrong
        return report(_defect(error))


def _report_interrupt(state: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\n")  # the terminal has echoed ^C where the next line would go
    if state:
        sys.stderr.write(f"bottlemux: interrupted: {state}\n")


def reader_gone() -> int:
    """Keep the interpreter from complaining at exit that nobody reads our output; return the exit code."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE


def _refused_by_system(error: OSError) -> BottlemuxError:
    what = f"{os.fsdecode(error.filename)!r}: " if isinstance(error.filename, str | bytes) else ""
    return BottlemuxError(
        f"{what}{error.strerror or error}",
        hint="bottlemux doctor checks directories, rights and free space",
        topic="system",
    )


def _defect(error: Exception) -> BottlemuxError:
    """Say where ``error`` came up, without its text, which may hold what was being worked on: even a secret."""
    from pathlib import PurePath
    from traceback import extract_tb

    frames = extract_tb(error.__traceback__)[: -_SHOWN_FRAMES - 1 : -1]
    place = " < ".join(f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in frames)
    return BottlemuxError(
        f"unexpected {type(error).__name__} at {place}",
        hint="this is a mistake in bottlemux: please report this line",
        topic="defect",
    )


def _run(words: list[str]) -> int:
    own, passed_on = _divided(words)
    parser = build_parser(own)
    parsed, unknown = parser.parse_known_args(own)
    if unknown:
        raise UsageError(f"unrecognized arguments: {' '.join(unknown)}", hint=_help_of(own, parser))
    if passed_on:
        parsed.arguments = passed_on
    run = getattr(parsed, "run", None)
    if run is None:
        build_parser([]).print_help()
        return UsageError.exit_code
    from bottlemux.lifecycle.context import Context

    code: int = run(Context.current(parsed.socket_name), parsed)
    sys.stdout.flush()
    return code


def _help_of(words: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """Return what shows the help of the command, and of its action, that is called in ``words``."""
    from bottlemux.cli.parsers import subparsers_of

    for word in words:
        if word in (below := subparsers_of(parser)):
            parser = below[word][0]
    return f"{parser.prog} --help"


def _divided(words: list[str]) -> tuple[list[str], list[str]]:
    """Return our own words, and those after ``--`` for a program in the bottle: argparse mistakes them for ours."""
    if _command_in(words) not in _FOR_PROGRAMS or "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _command_in(words: Sequence[str]) -> str | None:
    rest = iter(words)
    for word in rest:
        if word == _SOCKET_NAME:
            next(rest, None)
        elif word in COMMANDS:
            return word
    return None


def build_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return a parser that knows the whole of the command in ``words`` and the names of the others."""
    parser = _Parser(
        prog="bottlemux",
        description="Coding agents in isolated bottles, each a window of one tmux session.",
        epilog="'bottlemux COMMAND --help' explains a command. Exit codes: 0 done, 1 failed, 2 wrong usage or "
        "manifest, 3 backend or tool unavailable, 4 no such bottle, agent, layout or proposal.",
    )
    parser.add_argument("--version", action="version", version=f"bottlemux {__version__}")
    _add_socket_name(parser, default=None)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    wanted = _command_in(words)
    # A parser for each command costs milliseconds: a first word that is one needs no other.
    known = {wanted: COMMANDS[wanted]} if wanted is not None and words[0] == wanted else COMMANDS
    for name, summary in known.items():
        command = subparsers.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:] + "."
        )
        _add_socket_name(command, default=argparse.SUPPRESS)
        if name == wanted:
            import_module(f"bottlemux.cli.{_module_name(name)}").configure(command)
    return parser


def _add_socket_name(parser: argparse.ArgumentParser, *, default: str | None) -> None:
    parser.add_argument(
        _SOCKET_NAME,
        metavar="NAME",
        default=default,
        help="use the tmux server of this name (tmux -L NAME)",
    )


def _module_name(command: str) -> str:
    return {"exec": "exec_", "list": "list_"}.get(command, command)


def report(error: BottlemuxError) -> int:
    """Write ``error`` to standard error and return its exit code."""
    from bottlemux.text import printable

    sys.stderr.write(f"bottlemux: error: {printable(error.message)}\n")
    for mistake in error.also:
        sys.stderr.write(f"also: {printable(mistake)}\n")
    if error.hint:
        lines = map(printable, error.hint.split("\n"))
        sys.stderr.write(f"hint: {f'\n{_BELOW_HINT}'.join(lines)}\n")
    if error.topic:
        sys.stderr.write(f"hint: more: bottlemux help {error.topic}\n")
    return error.exit_code
