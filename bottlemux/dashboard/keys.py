"""What each key does: one table feeds the bindings, the footer and the help."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings, merge_key_bindings
from prompt_toolkit.keys import Keys

from bottlemux.actions.catalogue import find_action
from bottlemux.dashboard.pages import TextPage

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.filters import Filter
    from prompt_toolkit.key_binding import KeyBindingsBase, KeyPressEvent

    from bottlemux.dashboard.desk import Desk

_STEPS = {
    "up": -1, "k": -1, "c-p": -1, "down": 1, "j": 1, "c-n": 1, "pageup": -10, "pagedown": 10, "home": -10_000,
    "end": 10_000,
}  # fmt: skip


@dataclass(frozen=True)
class Key:
    """A key over the list: what the footer calls it, what the help says, what it does."""

    keys: tuple[str, ...]
    word: str
    help: str
    act: Callable[[Desk], None]

    @property
    def name(self) -> str:
        """The key as it is printed."""
        return {"enter": "Enter", "tab": "Tab", "escape": "Esc"}.get(self.keys[0], self.keys[0])


def _action(key: str, word: str, name: str) -> Key:
    return Key((key,), word, find_action(name).help, lambda desk: desk.act(name))


def _decision(key: str, word: str, name: str) -> Key:
    return Key((key,), word, find_action(name).help, lambda desk: desk.decide(name))


KEYS = (
    Key(("enter", "g"), "go", find_action("go").help, lambda desk: desk.go()),
    Key(("n",), "new", find_action("start").help, lambda desk: desk.new()),
    _decision("a", "approve", "approve"),
    Key(("r",), "reject", find_action("reject").help, lambda desk: desk.reject()),
    Key(
        ("tab",), "next ask", "Go to what is asked for next, over all bottles.", lambda desk: desk.next_ask()
    ),
    _action("s", "stop", "stop"),
    _action("R", "resume", "resume"),
    Key(("?",), "help", "Show these keys.", lambda desk: show_help(desk)),  # noqa: PLW0108 - it is defined below
    Key(("q", "c-c"), "leave", "Leave; the workspace's own window stays.", lambda desk: desk.leave()),
    _decision("A", "for good", "persist"),
    Key(("/",), "filter", "Show only bottles that match.", lambda desk: desk.filter()),
    _action("d", "diff", "diff"),
    _action("l", "logs", "logs"),
    Key(("P",), "prompt", find_action("prompt").help, lambda desk: desk.prompt()),
    Key(("i", " "), "details", "Show all that is known of the bottle.", lambda desk: desk.show_details()),
    Key(("m",), "message", "Show the whole of the last message.", lambda desk: desk.show_message()),
    Key(("escape",), "back", "Dismiss the message, the page, the filter.", lambda desk: desk.back()),
)
"""In the order of the footer, which shows as many as there is room for."""

_LEGEND = """
Up Down j k  move; the mouse does too: click selects, double click goes, wheel scrolls

Those that need you come first. CPU is in percent of one core, over the last two seconds or more.
MEM is memory with what bottles share shared out between them (PSS), measured for one bottle after the
other. BLOCK counts refused requests, ASKS what is asked for."""


def show_help(desk: Desk) -> None:
    """Show every key with what it does."""
    lines = [f"{key.name:<6} {key.help}" for key in KEYS]
    desk.pages.append(TextPage("keys of the dashboard", [*lines, *_LEGEND.split("\n")]))


def key_bindings(desk: Desk, line: Buffer) -> KeyBindingsBase:
    """Return the keys of the dashboard. Every handler runs in the screen's own thread."""
    typing = Condition(lambda: desk.line is not None)
    reading = Condition(lambda: desk.page is not None) & ~typing
    return merge_key_bindings(
        [_listing(desk, ~reading & ~typing), _reading(desk, reading), _typing(desk, line, typing)]
    )


def _listing(desk: Desk, listing: Filter) -> KeyBindings:
    keys = KeyBindings()

    def bind(name: str, act: Callable[[], None]) -> None:
        # Eager: otherwise Escape waits for a second key that would make it Alt.
        @keys.add(name, filter=listing, eager=name == "escape")
        def _press(_event: KeyPressEvent) -> None:
            act()

    for name, steps in _STEPS.items():
        bind(name, partial(desk.board.move, steps))
    for key in KEYS:
        for name in key.keys:
            bind(name, partial(key.act, desk))
    return keys


def _reading(desk: Desk, reading: Filter) -> KeyBindings:
    keys = KeyBindings()

    def bind(name: str, act: Callable[[], object]) -> None:
        @keys.add(name, filter=reading, eager=name == "escape")
        def _press(_event: KeyPressEvent) -> None:
            act()

    for name, steps in {**_STEPS, " ": 10}.items():
        bind(name, partial(desk.scroll, steps))
    for name in ("y", "Y"):
        bind(name, partial(desk.answer, yes=True))
    for name in ("n", "N", "enter", "q", "escape", "c-c"):
        bind(name, desk.back)
    return keys


def _typing(desk: Desk, line: Buffer, typing: Filter) -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter", filter=typing)
    def _enter(_event: KeyPressEvent) -> None:
        desk.enter(line.text)

    @keys.add("escape", filter=typing, eager=True)
    @keys.add("c-c", filter=typing)
    @keys.add(Keys.SIGINT, filter=typing)
    def _back(_event: KeyPressEvent) -> None:
        desk.back()

    @keys.add(Keys.SIGINT, filter=~typing)
    def _interrupt(_event: KeyPressEvent) -> None:
        desk.back() if desk.page is not None else desk.leave()

    return keys
