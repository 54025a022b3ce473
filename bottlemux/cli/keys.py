"""``bottlemux keys``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bottlemux.cli import bound, console
from bottlemux.text import printable

if TYPE_CHECKING:
    import argparse

    from bottlemux.lifecycle.context import Context
    from bottlemux.session.keys import Installed


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="the cheat sheet, and what is installed")
    show.set_defaults(run=_show)
    install = actions.add_parser("install", help="bind one key of the running tmux server to all of ours")
    _add_leader(install)
    install.add_argument(
        "--conf",
        action="store_true",
        help="bind it in later tmux servers too: a line in tmux.conf, which is shown first",
    )
    install.add_argument("-y", "--yes", action="store_true", help="do not ask about tmux.conf")
    install.set_defaults(run=_install)
    uninstall = actions.add_parser("uninstall", help="put back what the key did before, and tmux.conf")
    uninstall.add_argument(
        "--force", action="store_true", help="remove our keys even if they were changed; a changed key stays"
    )
    uninstall.set_defaults(run=_uninstall)
    load = actions.add_parser("load")  # what the line in tmux.conf calls: no help lists it
    _add_leader(load)
    load.set_defaults(run=_load)
    bound.add_actions(actions.add_parser)


def _add_leader(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", metavar="K", help="the key (default: as config.toml has it, else b)")
    parser.add_argument(
        "--table", choices=("prefix", "root"), help="after the prefix key (default), or alone"
    )


def _show(context: Context, _options: argparse.Namespace) -> int:
    from bottlemux.actions import binding
    from bottlemux.actions.keytable import cheat_sheet

    there = binding.installed(context)
    sys.stdout.write(f"{_name(there) if there else binding.spoken(*binding.leader(context))}, then:\n")
    console.write_columns("".join(f"{line}\n" for line in cheat_sheet(context)))
    if there is None:
        sys.stdout.write("not installed: bottlemux keys install\n")
    if (written := binding.written(context)) is not None:
        sys.stdout.write(f"every tmux server gets them: {printable(written.path)}\n")
    return 0


def _name(installed: Installed) -> str:
    from bottlemux.actions.binding import spoken

    return spoken(installed.table, installed.key)


def _install(context: Context, options: argparse.Namespace) -> int:
    from bottlemux.actions import binding

    if not options.conf:
        _tell(binding.install(context, options.table, options.key))
        return 0
    line = binding.planned_line(context, options.table, options.key)
    sys.stdout.write(f"{printable(line.path)} gets these lines at its end:\n")
    for text in line.added.strip("\n").split("\n"):
        sys.stdout.write(f"  {printable(text)}\n")
    sys.stdout.flush()
    if not options.yes and not console.confirm("Write them, and bind the keys?"):
        sys.stdout.write("tmux.conf stays as it is, and so do the keys\n")
        return 1
    _tell(binding.install_for_good(context, line, options.table, options.key))
    return 0


def _tell(there: Installed) -> None:
    name = _name(there)
    if there.before.line:
        sys.stdout.write(f"until uninstalled, {name} no longer does: {printable(there.before.line)}\n")
    sys.stdout.write(f"{name} opens bottlemux's keys; {name} ? shows them\n")


def _load(context: Context, options: argparse.Namespace) -> int:
    from bottlemux.actions import binding

    if binding.installed(context) is None:
        binding.install(context, options.table, options.key)
    return 0


def _uninstall(context: Context, options: argparse.Namespace) -> int:
    from bottlemux.actions import binding

    done = binding.uninstall(context, force=options.force)
    for line in done or ["no keys are installed in this tmux server"]:
        sys.stdout.write(f"{printable(line)}\n")
    return 0
