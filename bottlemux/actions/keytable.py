"""The keys of our own tmux table: every action of the catalogue that has one, or that ``config.toml`` gives one.

A binding holds our own absolute command and ids that tmux makes; never a name or a title, which may be an agent's
choice.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from bottlemux.actions.catalogue import CATALOGUE, find_action, grouped
from bottlemux.errors import UsageError
from bottlemux.manifest.config import load_config
from bottlemux.session.building import literal
from bottlemux.session.commands import to_source
from bottlemux.session.keys import Binding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bottlemux.actions.model import Action
    from bottlemux.lifecycle.context import Context

_MIN_COLUMNS, _MIN_ROWS = 100, 30
_SIDE = "#{{?#{{e|<|:#{{client_{side}}},{least}}},100%,80%}}"
_SEAT = ("--client=#{client_name}", "--pane=#{pane_id}", "--slug=#{@bottlemux_slug}")


def keys_of_actions(context: Context) -> dict[str, str]:
    """Return the key of each action that has one, by the action's name, as ``config.toml`` has it.

    ``UsageError`` for a key that two of them have, ``NotFoundError`` for an action that there is not.
    """
    chosen = load_config(context.paths).keys.actions
    for name in chosen:
        find_action(name)
    keys = {action.name: chosen.get(action.name, action.key) for action in CATALOGUE}
    _check_unique(keys, f"[keys.actions] in {context.paths.config_file}")
    return {name: key for name, key in keys.items() if key}


def _check_unique(keys: Mapping[str, str], where: str) -> None:
    owners: dict[str, str] = {}
    for name, key in keys.items():
        if key and (other := owners.setdefault(key, name)) != name:
            raise UsageError(
                f"{where}: key {key!r} is for both {other} and {name}",
                hint='give one of them another key, or "" for none',
            )


def key_bindings(context: Context) -> list[Binding]:
    """Return the whole table."""
    keys = keys_of_actions(context)
    return [
        Binding(keys[action.name], action.help, tmux_command(context, action), action.name)
        for action in CATALOGUE
        if action.name in keys
    ]


def cheat_sheet(context: Context) -> Iterator[str]:
    """Yield a line for each key, for people, below the headings of the groups."""
    keys = keys_of_actions(context)
    for heading, actions in grouped([action for action in CATALOGUE if action.name in keys]):
        yield heading
        for action in actions:
            yield f"  {keys[action.name]:<4}{action.help}"


def tmux_command(context: Context, action: Action) -> tuple[str, ...]:
    """Return the tmux command that does ``action`` for whoever pressed a key or chose from a menu."""
    if action.manner == "quiet":
        return _silently(context, "act", action.name)
    words = () if action.name == "palette" else ("--do", action.name)
    return _popup(context, "palette", "--here", *words)


def _popup(context: Context, *words: str) -> tuple[str, ...]:
    """Run a command in a popup over the pane in front, large on a small terminal.

    A popup knows neither pane nor client, so ``run-shell -C`` writes them down; the directory is left to the popup
    itself: as text in a command it could be one.
    """
    size = [
        "-w", _SIDE.format(side="width", least=_MIN_COLUMNS),
        "-h", _SIDE.format(side="height", least=_MIN_ROWS),
    ]  # fmt: skip
    where = ["-c", "#{client_name}", "-t", "#{pane_id}", "-d", literal("#{pane_current_path}")]
    own = [literal(word) for word in context.quick_argv(*words)]
    line = to_source([["display-popup", "-E", *size, *where, "--", *own, *_SEAT]])
    return ("run-shell", "-C", line.strip())


def _silently(context: Context, *words: str) -> tuple[str, ...]:
    """Run a command that speaks through tmux only: what ``run-shell`` printed would cover the user's pane."""
    own = literal(shlex.join(context.quick_argv("keys", *words)))
    seat = "--client=#{q:client_name} --pane='#{pane_id}' --slug=#{q:@bottlemux_slug}"
    return ("run-shell", "-b", f"{own} {seat} >/dev/null 2>&1 || true")
