"""One prompt for several agents, from the palette: marked, typed, confirmed, and told of each."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from bottlemux.actions.model import Seat
from bottlemux.palette.facts import read_names
from bottlemux.palette.pages import MarkPage

from .conftest import OWN, living, until
from .test_flow import Here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bottlemux.lifecycle.context import Context

    from .conftest import Screen

    type Make = Callable[[], str]


@pytest.fixture
def running(context: Context, make_bottle: Make) -> Iterator[list[str]]:
    one, two, three = sorted(make_bottle() for _ in range(3))
    make_bottle()
    with living(context, one), living(context, two), living(context, three):
        yield [one, two, three]


@pytest.fixture
def marking(context: Context, running: list[str]) -> MarkPage:
    return _open(Here(context), context)


def _open(here: Here, context: Context) -> MarkPage:
    here.flow.know(read_names(context))
    here.pick("prompt ...")
    page = here.flow.page
    assert isinstance(page, MarkPage)
    return page


def _chosen(page: MarkPage) -> list[str]:
    return [row.name for row in page.chosen]


def test_without_a_mark_the_selected_one_is_chosen(marking: MarkPage, running: list[str]) -> None:
    marking.move(1)
    assert _chosen(marking) == [running[1]]
    marking.search("nothing matches this")
    assert _chosen(marking) == []


def test_marks_stay_while_the_list_is_filtered(marking: MarkPage, running: list[str]) -> None:
    marking.mark()
    marking.search(running[2])
    marking.mark()
    marking.search("nothing matches this")
    assert _chosen(marking) == [running[0], running[2]]
    marking.search("")
    marking.mark()
    assert _chosen(marking) == [running[2]]


def test_all_that_are_shown_are_marked_at_once(marking: MarkPage, running: list[str]) -> None:
    marking.search(running[1])
    marking.mark_all()
    assert _chosen(marking) == [running[1]]
    marking.search("")
    marking.mark_all()
    assert _chosen(marking) == running
    marking.mark_all()
    assert not marking.marked


def test_who_ended_meanwhile_is_chosen_no_more(
    context: Context, make_bottle: Make, running: list[str]
) -> None:
    here = Here(context)
    last = make_bottle()
    with living(context, last):
        page = _open(here, context)
        page.mark_all()
        assert last in _chosen(page)
    here.flow.know(read_names(context))
    assert _chosen(page) == running
    page.marked = frozenset({f"bottle:{last}"})
    assert _chosen(page) == [], "another one than was marked"


def test_the_bottle_in_front_comes_first(context: Context, running: list[str]) -> None:
    here = Here(context)
    here.flow.take(context, lambda _slug: [], Seat("/dev/pts/9", "%3", running[1]))
    page = _open(here, context)
    assert _chosen(page) == [running[1]]


@pytest.mark.tmux
@pytest.mark.bwrap
def test_every_marked_agent_gets_it_and_no_other(screen: Callable[..., Screen], context: Context) -> None:
    context.paths.agents_config.mkdir(parents=True)
    (context.paths.agents_config / "shell.md").write_text(
        "---\nbottle: demo\nprogram: [bash, --norc]\nlayout: solo\n---\n"
    )

    def run(*words: str) -> str:
        done = subprocess.run(
            [*OWN, *words], env=dict(context.environ), cwd=context.cwd, capture_output=True, text=True, timeout=90,
            check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def shown(slug: str) -> str:
        window = context.workspace.require(slug)
        pane = window.pane("agent")
        return context.workspace.capture(pane.pane_id, 50) if pane is not None else ""

    one, two, three, ended = sorted(
        run("start", "shell", "--yes", "--detach").splitlines()[-1] for _ in range(4)
    )
    until(lambda: all("$" in shown(slug) for slug in (one, two, three, ended)))
    run("prompt", ended, "exit 3")
    until(lambda: "exited" in run("status", ended))
    at = screen((60, 15))
    at.run([*OWN, "palette", "--here", "--do", "prompt"], cwd=context.cwd)
    at.shows(f"> [ ] {one}")
    at.keys("Tab", "Tab")
    at.type(ended)
    at.shows(f"> [ ] {ended}")
    assert "Tab mark" in at.text()
    at.keys("Tab")
    at.shows("3 marked")
    at.keys("Enter")
    at.shows("prompt / text")
    at.type("echo sum $((40 + 2))")
    at.keys("Enter")
    text = at.shows("Submit it to 2 agents? [y/N]")
    assert f"{one} gets it" in text
    assert f"{ended} takes no prompt: the program ended (exit code" in text
    assert three not in text
    at.keys("y")
    text = at.shows(f"{two}: handed over")
    assert f"{one}: handed over" in text
    at.keys("Escape")
    assert at.dead() == "0"
    until(lambda: "sum 42" in shown(one) and "sum 42" in shown(two))
    assert "sum" not in shown(three)
    run("stop", "--all")
