"""The keys of our own tmux table: moving between bottles, the palette, and every action of the catalogue.

A binding holds our own absolute command and ids that tmux makes; never a name, a title or a slug, which may be an
agent's choice.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from bottlemux.actions.catalogue import CATALOGUE
from bottlemux.session.building import literal
from bottlemux.session.commands import as_process
from bottlemux.session.keys import Binding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bottlemux.actions.model import Action
    from bottlemux.lifecycle.context import Context

# Reached by other keys, or about something else than the bottle one looks at.
_LEFT_OUT = frozenset({"go", "start", "status", "rm"})
_POPUP = ("-w", "80%", "-h", "80%")


def key_bindings(context: Context) -> list[Binding]:
    """Return the whole table; a key of the catalogue that is taken gives way to its capital letter."""
    bindings = [
        Binding("p", "the palette: everything there is to do", _popup(context, "palette", "--here")),
        Binding("n", "choose an agent to start, in the palette", _popup(context, "palette", "--here")),
        Binding("s", "how all bottles are doing", _report(context, "status")),
        Binding("a", "what agents ask for", _report(context, "approvals", "list")),
        Binding("j", "go to the next bottle", _silently(context, "go", "next")),
        Binding("k", "go to the previous bottle", _silently(context, "go", "previous")),
        Binding("w", "go to the next bottle that waits for you", _silently(context, "go", "waiting")),
        Binding("?", "show these keys", _report(context, "keys", "show")),
    ]
    taken = {binding.key for binding in bindings}
    for action in CATALOGUE:
        if action.name not in _LEFT_OUT and (key := _free_key(action, taken)):
            taken.add(key)
            bindings.append(Binding(key, action.help, _command(context, action)))
    return bindings


def cheat_sheet(bindings: list[Binding], leader: str) -> Iterator[str]:
    """Yield a line for each key, for people."""
    yield f"{leader}, then:"
    for binding in bindings:
        yield f"  {binding.key:<4}{binding.note}"


def _free_key(action: Action, taken: set[str]) -> str | None:
    return next((key for own in action.keys for key in (own, own.upper()) if key not in taken), None)


def _command(context: Context, action: Action) -> tuple[str, ...]:
    if action.kind == "bottle":
        return _silently(context, "popup", action.name)
    return _popup(context, "keys", "act", action.name)


def _popup(context: Context, *words: str) -> tuple[str, ...]:
    return ("display-popup", "-E", *_POPUP, "--", *as_process(context.own_argv(*words)))


def _report(context: Context, *words: str) -> tuple[str, ...]:
    # Without -E the popup stays until Escape is pressed.
    return ("display-popup", *_POPUP, "--", *as_process(context.own_argv(*words)))


def _silently(context: Context, *words: str) -> tuple[str, ...]:
    """Run a command that speaks through tmux only: what ``run-shell`` printed would cover the user's pane."""
    own = literal(shlex.join(context.own_argv("keys", *words)))
    return (
        "run-shell",
        "-b",
        f"{own} --client #{{q:client_name}} --pane '#{{pane_id}}' >/dev/null 2>&1 || true",
    )
