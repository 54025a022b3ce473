"""``bottlemux keys``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, cast

from bottlemux.cli import bound
from bottlemux.errors import BottlemuxError
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
    install.add_argument("--key", metavar="K", help="the key (default: as config.toml has it, else b)")
    install.add_argument(
        "--table", choices=("prefix", "root"), help="after the prefix key (default), or alone"
    )
    install.set_defaults(run=_install)
    uninstall = actions.add_parser("uninstall", help="put back what the key did before")
    uninstall.add_argument(
        "--force", action="store_true", help="remove our keys even if they were changed; a changed key stays"
    )
    uninstall.set_defaults(run=_uninstall)
    bound.add_actions(actions.add_parser)


def _show(context: Context, _options: argparse.Namespace) -> int:
    from bottlemux.actions.keytable import cheat_sheet

    installed = _read(context)
    sys.stdout.write(f"{_name(installed) if installed else _configured(context)}, then:\n")
    for line in cheat_sheet(context):
        sys.stdout.write(f"{line}\n")
    if installed is None:
        sys.stdout.write("not installed: bottlemux keys install\n")
    return 0


def _name(installed: Installed) -> str:
    return _spoken(installed.table, installed.key)


def _configured(context: Context) -> str:
    from bottlemux.manifest.config import load_config

    keys = load_config(context.paths).keys
    return _spoken(keys.table, keys.leader)


def _spoken(table: str, key: str) -> str:
    return f"prefix {key}" if table == "prefix" else key


def _install(context: Context, options: argparse.Namespace) -> int:
    from bottlemux.actions.keytable import key_bindings
    from bottlemux.manifest.config import load_config
    from bottlemux.session.keys import install

    chosen = load_config(context.paths).keys
    if (there := _read(context)) is not None:
        raise BottlemuxError(
            f"the keys are installed already, on {_name(there)}", hint="bottlemux keys uninstall"
        )
    server = context.workspace.server
    installed = install(
        server, key_bindings(context), table=options.table or chosen.table, key=options.key or chosen.leader
    )
    _write(context, installed)
    if installed.before.line:
        sys.stdout.write(
            f"until uninstalled, {_name(installed)} no longer does: {printable(installed.before.line)}\n"
        )
    sys.stdout.write(f"{_name(installed)} opens bottlemux's keys; {_name(installed)} ? shows them\n")
    return 0


def _uninstall(context: Context, options: argparse.Namespace) -> int:
    from bottlemux.session.keys import changes, uninstall

    installed = _read(context)
    if installed is None:
        sys.stdout.write("no keys are installed in this tmux server\n")
        return 0
    server = context.workspace.server
    changed = changes(server, installed)
    if changed and not options.force:
        raise BottlemuxError(
            f"somebody changed the keys since: {'; '.join(changed)}",
            hint="bottlemux keys uninstall --force removes the rest and leaves a changed key as it is",
        )
    leader_changed = any(line.startswith(f"{installed.key} is now") for line in changed)
    uninstall(server, installed, keep_key=leader_changed)
    _write(context, None)
    sys.stdout.write(f"{_name(installed)} is {'left as it is' if leader_changed else 'as it was'}\n")
    return 0


def _read_all(context: Context) -> dict[str, object]:
    try:
        value: object = json.loads(context.paths.keys.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BottlemuxError(f"{context.paths.keys}: broken record: {error}") from error
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _read(context: Context) -> Installed | None:
    """Return what is installed in the running server; what a server before it had went with it."""
    from bottlemux.session.keys import Installed, is_there

    server = context.workspace.server
    record = _read_all(context).get(str(server.socket_path))
    installed = None if record is None else Installed.from_json(record)
    return installed if installed is not None and is_there(server, installed) else None


def _write(context: Context, installed: Installed | None) -> None:
    from bottlemux.files import make_private_dir, write_json

    records = _read_all(context)
    records.pop(str(context.workspace.server.socket_path), None)
    if installed is not None:
        records[str(context.workspace.server.socket_path)] = installed.to_json()
    make_private_dir(context.paths.keys.parent)
    write_json(context.paths.keys, records)
