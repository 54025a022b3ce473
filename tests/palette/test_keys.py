"""Real key bytes through prompt_toolkit's input parser, with the real background threads."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from bottlemux.errors import BottlemuxError
from bottlemux.palette.app import Palette
from bottlemux.palette.pages import ListPage

from .conftest import living, until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from prompt_toolkit.input import PipeInput

    from bottlemux.lifecycle.context import Context

UP, DOWN, ESCAPE, CTRL_C, CTRL_N, CTRL_P, ENTER, TAB = (
    "\x1b[A", "\x1b[B", "\x1b", "\x03", "\x0e", "\x10", "\r", "\t",
)  # fmt: skip


class Typist:
    """Types into a palette and waits for what it leads to."""

    def __init__(self, palette: Palette, keyboard: PipeInput) -> None:
        self.palette, self._keyboard = palette, keyboard

    def type(self, *keys: str) -> None:
        for key in keys:
            self._keyboard.send_text(key)

    def sees_title(self, title: str) -> None:
        until(lambda: self.palette.flow.page.title == title, lambda: repr(self.palette.flow.page))

    def sees_row(self, title: str) -> None:
        until(lambda: self.selected == title, lambda: self.selected)

    @property
    def selected(self) -> str:
        page = self.palette.flow.page
        row = page.current if isinstance(page, ListPage) else None
        return row.title if row is not None else ""


@contextlib.contextmanager
def opened(context: Context, result: list[Sequence[str] | None]) -> Generator[Typist]:
    """Run a palette in a thread of its own; at the end it must have been left."""
    with create_pipe_input() as keyboard:
        palette = Palette(
            context,
            lambda slug: ["go", slug or "workspace"],
            terminal_input=keyboard,
            terminal_output=DummyOutput(),
        )
        thread = threading.Thread(target=lambda: result.append(palette.run()), daemon=True)
        thread.start()
        until(lambda: palette.app.is_running)
        yield Typist(palette, keyboard)
        thread.join(10)
        assert not thread.is_alive(), repr(palette.flow.page)


@pytest.mark.parametrize("keys", [pytest.param(ESCAPE, id="escape"), pytest.param(CTRL_C, id="ctrl-c")])
def test_leaving_does_nothing(context: Context, keys: str) -> None:
    result: list[Sequence[str] | None] = []
    with opened(context, result) as typist:
        typist.type(keys)
    assert result == [None]
    assert not context.paths.state.exists()


@pytest.mark.parametrize(
    ("keys", "row"),
    [
        pytest.param([DOWN], 1, id="down"),
        pytest.param([CTRL_N, CTRL_N], 2, id="ctrl-n"),
        pytest.param([DOWN, DOWN, UP], 1, id="up"),
        pytest.param([DOWN, CTRL_P], 0, id="ctrl-p"),
        pytest.param([UP], -1, id="round-to-the-end"),
        pytest.param([UP, DOWN], 0, id="round-to-the-beginning"),
        pytest.param(["\x1b[6~"], 10, id="page-down"),
    ],
)
def test_moving(context: Context, keys: list[str], row: int) -> None:
    result: list[Sequence[str] | None] = []
    with opened(context, result) as typist:
        page = typist.palette.flow.page
        assert isinstance(page, ListPage)
        expected = page.shown[row].row.title
        typist.type(*keys)
        typist.sees_row(expected)
        typist.type(CTRL_C)


def test_typing_filters_and_editing_works(context: Context) -> None:
    result: list[Sequence[str] | None] = []
    with opened(context, result) as typist:
        typist.type("doctr", "\x7f", "or")
        typist.sees_row("doctor")
        typist.type("\x17", "start demo")
        typist.sees_row("start demo")
        typist.type(CTRL_C)


def test_backspace_on_nothing_goes_back(context: Context) -> None:
    result: list[Sequence[str] | None] = []
    with opened(context, result) as typist:
        typist.type("start demo", ENTER)
        until(lambda: typist.palette.flow.page.title.startswith("start demo / "))
        typist.type("\x7f")
        typist.sees_title("")
        typist.sees_row("start demo")
        typist.type(CTRL_C)


def test_a_pasted_task_of_several_lines_goes_along_whole(context: Context) -> None:
    result: list[Sequence[str] | None] = []
    with opened(context, result) as typist:
        typist.type("demo: ", "\x1b[200~first\nsecond\x1b[201~")
        page = typist.palette.flow.page
        assert isinstance(page, ListPage)
        until(lambda: page.prompt == "first\nsecond", lambda: page.query)
        typist.type(CTRL_C)
    assert result == [None]


def test_choosing_a_running_bottle_goes_to_it(context: Context, make_bottle: Callable[[], str]) -> None:
    slug = make_bottle()
    result: list[Sequence[str] | None] = []
    with living(context, slug), opened(context, result) as typist:
        typist.type(slug)
        typist.sees_row(f"go to {slug}")
        typist.type(TAB)
        typist.sees_title(slug)
        typist.type("shell", ENTER)
    assert result[0] is not None
    assert list(result[0][-5:]) == ["exec", slug, "--", "/bin/bash", "-l"]


def test_an_error_is_shown_and_the_palette_goes_on(context: Context, make_bottle: Callable[[], str]) -> None:
    slug = make_bottle()
    context.paths.bottle(slug).metadata.write_text("{}")
    result: list[Sequence[str] | None] = []
    with opened(context, result) as typist:
        typist.type(f"resume {slug}", ENTER)
        typist.sees_title(f"resume {slug}: failed")
        typist.type(ENTER)
        typist.sees_title("")
        typist.type(ESCAPE)
    assert result == [None]


def test_work_under_way_is_waited_for(context: Context) -> None:
    """Leaving in the middle of a start would leave half a bottle."""
    from bottlemux.actions.model import Action, GoTo, Prepared, Subject

    begun, go_on = threading.Event(), threading.Event()

    def carry_out() -> GoTo:
        begun.set()
        go_on.wait(10)
        return GoTo("demo-00001")

    action = Action(
        "slow", "slow", "Is slow.", (), "workspace", lambda _s: None, lambda _c, _s: Prepared(carry_out)
    )
    result: list[Sequence[str] | None] = []
    with opened(context, result) as typist:
        palette = typist.palette
        palette.loop.call_soon_threadsafe(lambda: palette.flow.do(action, Subject("workspace")))
        assert begun.wait(10)
        typist.type(ESCAPE, CTRL_C)
        time.sleep(0.3)
        assert not result
        go_on.set()
    assert result == [["go", "demo-00001"]]


def test_looking_can_be_left_at_any_time(context: Context) -> None:
    from bottlemux.actions.model import Action, Prepared, Subject, Told

    begun, go_on = threading.Event(), threading.Event()

    def prepare(_context: Context, _subject: Subject) -> Prepared:
        begun.set()
        go_on.wait(10)
        return Prepared(lambda: Told("done"))

    action = Action("slow", "slow", "Is slow.", (), "workspace", lambda _s: None, prepare)
    result: list[Sequence[str] | None] = []
    with opened(context, result) as typist:
        palette = typist.palette
        palette.loop.call_soon_threadsafe(lambda: palette.flow.do(action, Subject("workspace")))
        assert begun.wait(10)
        typist.type(ESCAPE)
        typist.sees_title("")
        go_on.set()
        typist.type(ESCAPE)
    assert result == [None]


def test_a_bug_in_the_background_ends_the_palette_loudly(context: Context) -> None:
    from bottlemux.actions.model import Action, Prepared, Subject

    def prepare(_context: Context, _subject: Subject) -> Prepared:
        raise ZeroDivisionError

    action = Action("bug", "bug", "Is a bug.", (), "workspace", lambda _s: None, prepare)
    with create_pipe_input() as keyboard:
        palette = Palette(context, lambda _slug: [], terminal_input=keyboard, terminal_output=DummyOutput())
        palette.app.pre_run_callables.append(lambda: palette.flow.do(action, Subject("workspace")))
        with pytest.raises(ZeroDivisionError):
            palette.run()


def test_an_expected_error_is_no_bug(context: Context) -> None:
    from bottlemux.actions.model import Action, Prepared, Subject

    def prepare(_context: Context, _subject: Subject) -> Prepared:
        raise BottlemuxError("cannot", hint="do that")

    action = Action("no", "no", "Fails.", (), "workspace", lambda _s: None, prepare)
    result: list[Sequence[str] | None] = []
    with opened(context, result) as typist:
        palette = typist.palette
        palette.loop.call_soon_threadsafe(lambda: palette.flow.do(action, Subject("workspace")))
        typist.sees_title("no: failed")
        typist.type(CTRL_C)
