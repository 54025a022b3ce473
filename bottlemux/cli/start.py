"""``bottlemux start``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.cli import console, trusting

if TYPE_CHECKING:
    import argparse

    from bottlemux.lifecycle.context import Context
    from bottlemux.lifecycle.planning import Planned


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument(
        "agent",
        metavar="AGENT",
        nargs="?",
        help="the agent's name (bottlemux list agents); default: the one that config.toml names",
    )
    parser.add_argument("--backend", metavar="B", help="what runs the bottle (bottlemux list backends)")
    parser.add_argument("--cwd", metavar="DIR", type=Path, help="the project directory (default: this one)")
    parser.add_argument(
        "--workspace", metavar="M", choices=("mount", "clone", "copy"),
        help="mount: the directory itself; clone: a clone of its repository; copy: a copy of it",
    )  # fmt: skip
    parser.add_argument("--layout", metavar="L", help="the window's layout (bottlemux list layouts)")
    parser.add_argument("--prompt", metavar="TEXT", default="", help="the first task; - reads standard input")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="print the preflight and make nothing")
    parser.add_argument("-d", "--detach", action="store_true", help="do not go to the window")
    parser.add_argument(
        "arguments", metavar="ARGS", nargs="*", default=[], help="after --: more arguments of the program"
    )
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Print the preflight, ask, launch and open the window; the slug is the last line of standard output."""
    with console.telling_when_interrupted(lambda: "nothing was started"):
        planned = _plan(context, options)
        if planned is None:
            return 1
        if options.dry_run:
            return 0
        if not options.yes and not console.confirm("Start it?"):
            sys.stderr.write("nothing was started\n")
            return 1
    slug = _start(context, planned)
    if options.detach or not console.is_interactive():
        return 0
    from bottlemux.actions.binding import with_offer

    return console.become(with_offer(context, context.workspace.attach_argv(slug)))


def _plan(context: Context, options: argparse.Namespace) -> Planned | None:
    if not options.dry_run:
        from bottlemux.lifecycle.warming import warm_up

        warm_up(context)
    from bottlemux.lifecycle.planning import StartRequest, plan_start

    request = StartRequest(
        agent=options.agent or _usual_agent(context),
        backend=options.backend,
        cwd=options.cwd,
        workspace=options.workspace,
        layout=options.layout,
        prompt=_read_prompt() if options.prompt == "-" else options.prompt,
        arguments=tuple(options.arguments),
    )
    planned = trusting.asking(lambda: plan_start(context, request))
    if planned is None:
        return None
    trusting.find(context, planned.layout.partition(":")[0], planned.spec.directory)
    planned.print(console.write_columns)
    sys.stdout.flush()
    return planned


def _start(context: Context, planned: Planned) -> str:
    """Start it and print its name, also if an interruption came too late to undo it."""
    from bottlemux.lifecycle.running import start

    def state() -> str:
        if slug:
            return f"too late, it has started: bottlemux stop {slug} ends it"
        made = planned.spec.identity
        if context.paths.bottle(made).state.exists():
            return f"and so was undoing it: bottlemux stop {made} && bottlemux rm {made} removes what is left"
        return "nothing is left of the start"

    _undo_when_ended()
    slug = ""
    with console.telling_when_interrupted(state):
        try:
            with console.progress(f"starting {planned.spec.resolved.agent.name}"):
                slug = start(context, planned)
        finally:
            if slug:
                sys.stdout.write(f"{slug}\n")
                sys.stdout.flush()
    return slug


def _usual_agent(context: Context) -> str:
    from bottlemux.errors import UsageError
    from bottlemux.manifest.config import load_config

    usual = load_config(context.paths).agent
    if usual is None:
        raise UsageError(
            f"no agent is named, here or in {context.paths.config_file}",
            hint="bottlemux start AGENT; bottlemux list agents shows them",
        )
    return usual


def _read_prompt() -> str:
    """Return standard input as it is, line ends included; what is no UTF-8 is refused later, with the rest."""
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")


def _undo_when_ended() -> None:
    """Have a hang-up or a polite kill interrupt the start, so that nothing half-made is left; ``nohup`` holds."""
    for number in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
