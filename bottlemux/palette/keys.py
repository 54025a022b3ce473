"""What each key does, as named conditions and short handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings, merge_key_bindings
from prompt_toolkit.keys import Keys

from bottlemux.palette.pages import BusyPage, ListPage, MarkPage, TextPage

if TYPE_CHECKING:
    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.key_binding import KeyBindingsBase, KeyPressEvent

    from bottlemux.palette.flow import Flow

_STEPS = {"up": -1, "c-p": -1, "down": 1, "c-n": 1, "pageup": -10, "pagedown": 10}


def key_bindings(flow: Flow, query: Buffer) -> KeyBindingsBase:
    """Return the keys of the palette. Every handler runs in the screen's own thread."""
    return merge_key_bindings([_moving(flow), _choosing(flow), _answering(flow), _leaving(flow, query)])


def _moving(flow: Flow) -> KeyBindings:
    keys = KeyBindings()

    def bind(name: str, steps: int) -> None:
        @keys.add(name)
        def _move(_event: KeyPressEvent) -> None:
            if not isinstance(flow.page, BusyPage):
                flow.page.move(steps)

    for name, steps in _STEPS.items():
        bind(name, steps)
    return keys


def _choosing(flow: Flow) -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter", filter=~_asked(flow))
    def _choose(_event: KeyPressEvent) -> None:
        flow.choose()

    @keys.add("tab", filter=_in_list(flow))
    def _choose_other(_event: KeyPressEvent) -> None:
        flow.choose_other()

    @keys.add("c-a", filter=Condition(lambda: isinstance(flow.page, MarkPage)))
    def _mark_all(_event: KeyPressEvent) -> None:
        if isinstance(flow.page, MarkPage):
            flow.page.mark_all()

    return keys


def _answering(flow: Flow) -> KeyBindings:
    keys = KeyBindings()
    asked = _asked(flow)

    @keys.add("y", filter=asked)
    @keys.add("Y", filter=asked)
    def _yes(_event: KeyPressEvent) -> None:
        flow.answer(yes=True)

    @keys.add("n", filter=asked)
    @keys.add("N", filter=asked)
    @keys.add("enter", filter=asked)
    def _no(_event: KeyPressEvent) -> None:
        flow.answer(yes=False)

    return keys


def _leaving(flow: Flow, query: Buffer) -> KeyBindings:
    keys = KeyBindings()
    nothing_typed = Condition(lambda: not query.text)

    # Eager: otherwise Escape waits for a second key that would make it Alt.
    @keys.add("escape", eager=True)
    @keys.add("backspace", filter=_in_list(flow) & nothing_typed)
    def _back(_event: KeyPressEvent) -> None:
        flow.back()

    @keys.add("c-c")
    @keys.add(Keys.SIGINT)
    def _leave(_event: KeyPressEvent) -> None:
        flow.leave()

    return keys


def _in_list(flow: Flow) -> Condition:
    return Condition(lambda: isinstance(flow.page, ListPage))


def _asked(flow: Flow) -> Condition:
    return Condition(lambda: isinstance(flow.page, TextPage) and bool(flow.page.question))
