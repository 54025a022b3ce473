"""Our keys in the user's tmux: bound in the running server and, where wanted, by a line in tmux.conf; and undone."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bottlemux.actions.keytable import key_bindings
from bottlemux.errors import BottlemuxError
from bottlemux.files import make_private_dir, read_json, write_json
from bottlemux.manifest.config import load_config
from bottlemux.session import keys, tmux_conf
from bottlemux.session.building import literal
from bottlemux.session.commands import to_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bottlemux.lifecycle.context import Context
    from bottlemux.session.keys import Installed
    from bottlemux.session.tmux_conf import Addition

_OFFER_MS = 4000
_CONF = "tmux.conf"
_SOCKET = "BOTTLEMUX_TMUX_SOCKET"
_FORCE = "bottlemux keys uninstall --force removes the rest and leaves what was changed as it is"


def leader(context: Context) -> tuple[str, str]:
    """Return table and key of the leader, as ``config.toml`` has them."""
    chosen = load_config(context.paths).keys
    return chosen.table, chosen.leader


def spoken(table: str, key: str) -> str:
    """Return what a person presses."""
    return f"prefix {key}" if table == "prefix" else key


def installed(context: Context) -> Installed | None:
    """Return what is installed in the running server; what a server before it had went with it."""
    server = context.workspace.server
    record = _records(context).get(str(server.socket_path))
    found = None if record is None else keys.Installed.from_json(record)
    return found if found is not None and keys.is_there(server, found) else None


def install(context: Context, table: str | None = None, key: str | None = None) -> Installed:
    """Bind our keys in the running server."""
    if (there := installed(context)) is not None:
        name = spoken(there.table, there.key)
        raise BottlemuxError(f"the keys are installed already, on {name}", hint="bottlemux keys uninstall")
    chosen_table, chosen_key = leader(context)
    server = context.workspace.server
    made = keys.install(
        server, key_bindings(context), table=table or chosen_table, key=chosen_key if key is None else key
    )
    _record(context, str(server.socket_path), made.to_json())
    return made


def with_offer(context: Context, argv: Sequence[str]) -> list[str]:
    """Return ``argv``, which brings a person to the workspace, so that the status line then says how to get the keys.

    Only where this tmux has none of ours; what cannot be found out is no reason not to go there.
    """
    try:
        if installed(context) is not None or written(context) is not None:
            return list(argv)
        key = spoken(*leader(context))
    except BottlemuxError:
        return list(argv)
    text = f"{_typed(context)} keys install: {key} opens everything"
    return [*argv, ";", "display-message", "-d", str(_OFFER_MS), literal(text)]


def _typed(context: Context) -> str:
    """Return what a shell takes for bottlemux: its name, or where it is if no directory of the PATH has it."""
    if shutil.which("bottlemux", path=context.environ.get("PATH", os.defpath)):
        return "bottlemux"
    program, home = Path(sys.executable).with_name("bottlemux"), context.environ.get("HOME") or "/"
    if home != "/" and program.is_relative_to(home):
        return f"~/{shlex.quote(str(program.relative_to(home)))}"
    return shlex.quote(str(program))


def uninstall(context: Context, *, force: bool = False) -> list[str]:
    """Put everything back; return what was done. What somebody changed since is an error, or left with ``force``."""
    live, line = installed(context), written(context)
    changed = keys.changes(context.workspace.server, live) if live is not None else []
    if line is not None and not tmux_conf.is_there(line):
        changed.append(f"our lines in {line.path} are not as they were written")
    if changed and not force:
        raise BottlemuxError(f"somebody changed the keys since: {'; '.join(changed)}", hint=_FORCE)
    done = [] if line is None else [_remove_line(context, line)]
    return [*done, *([] if live is None else [_unbind(context, live, changed)])]


def _unbind(context: Context, live: Installed, changed: list[str]) -> str:
    server = context.workspace.server
    leader_changed = any(text.startswith(f"{live.key} is now") for text in changed)
    keys.uninstall(server, live, keep_key=leader_changed)
    _record(context, str(server.socket_path), None)
    return f"{spoken(live.table, live.key)} is {'left as it is' if leader_changed else 'as it was'}"


def written(context: Context) -> Addition | None:
    """Return our lines in tmux.conf, ``None`` if we wrote none."""
    record = _records(context).get(_CONF)
    return None if record is None else tmux_conf.Addition.from_json(record)


def planned_line(context: Context, table: str | None = None, key: str | None = None) -> Addition:
    """Return what would be written into tmux.conf: it has every server bind our keys when it starts."""
    if (there := written(context)) is not None:
        raise BottlemuxError(f"our lines are in {there.path} already", hint="bottlemux keys uninstall")
    if key is not None:
        keys.check_key(key)
    chosen = [f"--{name}={value}" for name, value in (("table", table), ("key", key)) if value]
    environ = {name: value for name, value in context.environ.items() if name != _SOCKET}
    anywhere = replace(context, environ=environ, socket_name=None)
    own = literal(shlex.join(anywhere.own_argv("keys", "load", *chosen)))
    # While it reads its configuration, tmux does not tell a program which server it was started by.
    command = f"{_SOCKET}= TMUX='#{{socket_path}},#{{pid}},0' {own} >/dev/null 2>&1 || true"
    return tmux_conf.planned(
        tmux_conf.find_conf(context.environ), to_source([["run-shell", "-b", command]]).rstrip("\n")
    )


def install_for_good(
    context: Context, line: Addition, table: str | None = None, key: str | None = None
) -> Installed:
    """Bind our keys in the running server, unless they are there, and write the planned ``line``; or do neither."""
    there = installed(context)
    made = there or install(context, table, key)
    try:
        _write_line(context, line)
    except BottlemuxError:
        if there is None:
            _unbind(context, made, [])
        raise
    return made


def _write_line(context: Context, line: Addition) -> None:
    """Write ``line``. It is on record before it is in the file."""
    _record(context, _CONF, line.to_json())
    try:
        tmux_conf.add(line)
    except BottlemuxError:
        _record(context, _CONF, None)
        raise


def _remove_line(context: Context, line: Addition) -> str:
    there = tmux_conf.is_there(line)
    if there:
        tmux_conf.remove(line)
    _record(context, _CONF, None)
    return f"{line.path} is {'as it was' if there else 'left as it is'}"


def _records(context: Context) -> dict[str, object]:
    try:
        value = read_json(context.paths.keys)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BottlemuxError(f"{context.paths.keys}: broken record: {error}") from error
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _record(context: Context, name: str, value: dict[str, object] | None) -> None:
    records = _records(context)
    records.pop(name, None)
    if value is not None:
        records[name] = value
    make_private_dir(context.paths.keys.parent)
    write_json(context.paths.keys, records)
