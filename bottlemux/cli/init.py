"""``bottlemux init``."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from bottlemux.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    from bottlemux.lifecycle.beginning import Answers
    from bottlemux.lifecycle.context import Context

_WORKSPACES = ("mount", "clone", "copy")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument(
        "name", metavar="NAME", nargs="?", default="dev", help="of bottle and agent (default: dev)"
    )
    parser.add_argument("--program", metavar="CMD", help="what the agent runs, as you would type it")
    parser.add_argument(
        "--allow", metavar="HOST", action="append", help="a host that may be read from; may be repeated"
    )
    parser.add_argument("--workspace", choices=_WORKSPACES, help="how the agent gets the project's files")
    parser.add_argument(
        "-y", "--yes", action="store_true", help="ask nothing; take the defaults for the rest"
    )
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Ask what was not given, write the two files and say how to go on; whatever ends it before writes nothing."""
    from bottlemux.lifecycle.beginning import check_new, write_first

    check_new(context.paths, options.name)
    answers = _answers(options)
    if answers is None:
        sys.stderr.write("\nnothing was written\n")
        return 1
    bottle, agent = write_first(context.paths, answers)
    sys.stdout.write(f"wrote {bottle}\n      {agent}\n")
    _say_which_wins(context, answers.name, agent)
    _say_how_to_go_on(context, answers)
    return 0


def _answers(options: argparse.Namespace) -> Answers | None:
    """Return what was given and answered; ``None`` when the person left instead."""
    from bottlemux.lifecycle.beginning import Answers, check_host

    for host in options.allow or ():
        check_host(host)
    given = (options.program, options.allow, options.workspace)
    asking = not options.yes and None in given
    if asking and not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask on", hint="give --yes, and what differs from the defaults as options"
        )
    ask: Callable[..., str] = _ask if asking else _take_default
    try:
        program = ask(_PROGRAM, "claude", options.program, check=_check_program)
        hosts = ask(_hosts_question(program), "", _joined(options.allow), check=_check_hosts)
        workspace = ask(_WORKSPACE, "mount", options.workspace, check=_check_workspace)
    except (EOFError, KeyboardInterrupt):
        return None
    return Answers(options.name, tuple(shlex.split(program)), tuple(_hosts(hosts)), workspace)


_PROGRAM = """\
1. What shall the agent run?
   a program bottlemux knows ({known}), or any command line"""
_HOSTS = """\
2. Which hosts may it read from{beside}?
   such as docs.python.org *.example.com; empty: none"""
_WORKSPACE = """\
3. How shall it get the project's files?
   mount: the directory itself; clone: a clone of its repository; copy: a copy"""


def _hosts_question(program: str) -> str:
    from backends.presets import preset_of

    has_api = preset_of(shlex.split(program)).apis
    return _HOSTS.format(beside=", beside its model's API" if has_api else "")


def _ask(question: str, default: str, given: str | None, *, check: Callable[[str], None]) -> str:
    if given is not None:
        return _take_default(question, default, given, check=check)
    from backends.presets import PRESETS

    sys.stdout.write(question.format(known=", ".join(PRESETS)) + "\n")
    while True:
        sys.stdout.write(f"   [{default or 'none'}] ")
        sys.stdout.flush()
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        answer = line.strip() or default
        try:
            check(answer)
        except UsageError as error:
            sys.stdout.write(f"   {error.message}\n")
            continue
        return answer


def _take_default(_question: str, default: str, given: str | None, *, check: Callable[[str], None]) -> str:
    answer = default if given is None else given
    check(answer)
    return answer


def _joined(hosts: list[str] | None) -> str | None:
    return None if hosts is None else " ".join(hosts)


def _hosts(answer: str) -> list[str]:
    return answer.replace(",", " ").split()


def _check_program(answer: str) -> None:
    try:
        words = shlex.split(answer)
    except ValueError as error:
        raise UsageError(f"{answer!r} is no command line: {error}") from error
    if not answer.isprintable():
        raise UsageError("the command line holds control characters")
    if not words:
        raise UsageError("a program is needed", hint="such as claude, or bash -l")


def _check_hosts(answer: str) -> None:
    from bottlemux.lifecycle.beginning import check_host

    for host in _hosts(answer):
        check_host(host)


def _check_workspace(answer: str) -> None:
    if answer not in _WORKSPACES:
        raise UsageError(f"{answer!r} is none of {', '.join(_WORKSPACES)}")


def _say_which_wins(context: Context, name: str, agent: Path) -> None:
    from bottlemux.manifest.loader import is_built_in, is_in_project

    if is_built_in(name):
        sys.stdout.write(f"note: {name!r} is yours from now on, no longer the shipped one\n")
    if is_in_project(context.paths, name, context.cwd):
        sys.stdout.write(f"note: in this directory {name!r} is the project's agent, not {agent}\n")


def _say_how_to_go_on(context: Context, answers: Answers) -> None:
    import shutil

    from backends.presets import preset_of
    from bottlemux.lifecycle.beginning import can_start_in

    program = answers.program[0]
    if shutil.which(program) is None:
        sys.stdout.write(f"note: {program} is not installed here\n")
    wanted = [api.token_ref for api in preset_of(answers.program).apis if api.token_ref]
    for name in dict.fromkeys(wanted):
        if not context.environ.get(name):
            sys.stdout.write(f"note: {name} is not set; export it before the start\n")
    place = "" if can_start_in(context.paths, answers, context.cwd) else "cd to a project of yours, then "
    sys.stdout.write(f"next: {place}bottlemux start {answers.name}\n")
