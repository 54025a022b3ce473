"""Real key bytes through prompt_toolkit's input parser, with the real background threads."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from typing import TYPE_CHECKING

import pytest

from bottlemux.actions import catalogue
from bottlemux.actions.model import Action, Prepared, Told
from bottlemux.approvals.deciding import approve
from bottlemux.dashboard.drawing import PageControl
from bottlemux.dashboard.screen import _footer
from bottlemux.errors import BottlemuxError

from .conftest import audit, living, opened, routes, state, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.lifecycle.context import Context
    from sidecars.supervise.proposal import Proposal

    from .conftest import Typist

    type Ask = Callable[..., Proposal]
    type Make = Callable[[], str]

UP, DOWN, ESCAPE, CTRL_C, ENTER, TAB = "\x1b[A", "\x1b[B", "\x1b", "\x03", "\r", "\t"


def page_text(typist: Typist) -> str:
    drawn = PageControl(typist.desk).create_content(80, 22)
    return "\n".join(
        "".join(part[1] for part in drawn.get_line(number)) for number in range(drawn.line_count)
    )


def footer_text(typist: Typist) -> str:
    return "".join(part[1] for part in _footer(typist.desk, 80))


@pytest.mark.parametrize("key", [pytest.param("q", id="q"), pytest.param(CTRL_C, id="ctrl-c")])
def test_leaving_does_nothing(context: Context, key: str) -> None:
    with opened(context) as typist:
        typist.type(key)
        typist.sees(lambda: not typist.dashboard.app.is_running)
    assert not context.paths.state.exists()


@pytest.mark.parametrize("key", [pytest.param("q", id="q"), pytest.param(CTRL_C, id="ctrl-c")])
def test_the_workspaces_own_window_stays(context: Context, key: str) -> None:
    with opened(context, resident=True) as typist:
        typist.type(key)
        typist.sees_notice("this window stays")
        assert typist.dashboard.app.is_running


def test_moving_and_filtering(context: Context, make_bottle: Make) -> None:
    one, two, three = sorted(make_bottle() for _ in range(3))
    with opened(context) as typist:
        typist.sees_bottles(one, two, three)
        typist.type(DOWN, "j", "j")
        typist.selects(three)
        typist.type(UP)
        typist.selects(two)
        typist.type("/", three)
        typist.sees_bottles(three)
        typist.type(ENTER)
        typist.sees(lambda: typist.desk.line is None)
        typist.selects(three)
        typist.type(ESCAPE)
        typist.sees_bottles(one, two, three)
        typist.type("/", "zzz", ESCAPE)
        typist.sees_bottles(one, two, three)


def test_letters_that_are_typed_are_no_keys(context: Context, make_bottle: Make) -> None:
    make_bottle()
    with opened(context) as typist:
        typist.type("/", "q", "s", "R", "?")
        typist.sees(lambda: typist.desk.board.query == "qsR?")
        assert typist.desk.page is None
        assert typist.dashboard.app.is_running


def test_approving_what_is_shown_takes_one_key(context: Context, make_bottle: Make, ask: Ask) -> None:
    slug = make_bottle()
    proposal = ask(slug)
    with opened(context) as typist:
        typist.sees_whole(proposal)
        typist.type("a")
        typist.sees(lambda: state(context, proposal).state == "active")
        typist.sees_notice("may now do what it asked for")
    assert routes(context, slug) == ["new.example.com"]
    decided = [(line["decision"], line["reason"]) for line in audit(context, slug)]
    assert decided == [("allow", "approved")]


def test_a_key_held_down_does_not_approve_what_comes_next(
    context: Context, make_bottle: Make, ask: Ask
) -> None:
    slug = make_bottle()
    first, second = ask(slug, "one.example.com"), ask(slug, "two.example.com")
    with opened(context) as typist:
        typist.sees_whole(first)
        typist.type("a")
        typist.sees(lambda: f"proposal {second.id}" in typist.desk.asked_whole)
        typist.type("a")
        typist.sees_page("two.example.com")
        assert state(context, second).state == "pending"
        typist.sees(lambda: typist.desk.page and typist.desk.page.seen)
        typist.type("a", "y")
        typist.sees(lambda: state(context, second).state == "active")
    assert routes(context, slug) == ["one.example.com", "two.example.com"]


def test_what_was_not_shown_whole_is_shown_before_it_is_decided(
    context: Context, make_bottle: Make, ask: Ask
) -> None:
    proposal = ask(make_bottle(), reason="word " * 300 + "the end")
    with opened(context, size=(80, 24)) as typist:
        typist.sees(lambda: typist.desk.board.proposal == proposal)
        typist.sees(lambda: typist.desk.present_details.asked)
        assert not typist.desk.asked_whole
        typist.type("a")
        typist.sees_page("the end")
        # Yes counts once the end was on the screen: until then it scrolls, and the last lines say so.
        typist.sees(lambda: "y shows them, and y again at the end is yes" in page_text(typist))
        assert footer_text(typist) == "y more  n no  Up Down"
        typist.type("y")
        typist.sees(lambda: typist.desk.page and typist.desk.page.top > 0)
        assert state(context, proposal).state == "pending"
        assert not typist.desk.page.seen  # type: ignore[union-attr]
        typist.type("\x1b[6~", "\x1b[6~", "\x1b[6~")
        typist.sees(lambda: typist.desk.page and typist.desk.page.seen)
        assert "Approve it? [y/N]" in page_text(typist)
        assert footer_text(typist) == "y yes  n no  Up Down"
        typist.type("y")
        typist.sees(lambda: state(context, proposal).state == "active")


def test_what_changed_since_it_was_shown_is_shown_again(
    context: Context, make_bottle: Make, ask: Ask
) -> None:
    """Here the policy changed, and with it what approving means: the hash of the request alone would not tell."""
    slug = make_bottle()
    first = ask(slug, "one.example.com")
    with opened(context) as typist:
        typist.sees_whole(first)
        shown = typist.desk.asked_whole
        from sidecars.egress.routes import Route, RouteSet

        context.paths.bottle(slug).routes.write_text(RouteSet(routes=(Route(host="old.example.com"),)).dump())
        assert typist.desk.asked_whole == shown
        typist.type("a")
        typist.sees_page("old.example.com")
        assert state(context, first).state == "pending"
        typist.type("n")
        typist.sees(lambda: typist.desk.page is None)
    assert state(context, first).state == "pending"


def test_a_request_decided_elsewhere_meanwhile_is_refused(
    context: Context, make_bottle: Make, ask: Ask
) -> None:
    from bottlemux.approvals.deciding import reject

    slug = make_bottle()
    proposal = ask(slug)
    with opened(context) as typist:
        typist.sees_whole(proposal)
        reject(context.paths, proposal.id)
        typist.type("a")
        typist.sees(lambda: typist.desk.notices.told or typist.desk.page)
    assert state(context, proposal).state == "rejected"
    assert routes(context, slug) == []


def test_rejecting_asks_for_a_reason(context: Context, make_bottle: Make, ask: Ask) -> None:
    proposal = ask(make_bottle())
    with opened(context) as typist:
        typist.sees_whole(proposal)
        typist.type("r", "not today", ESCAPE)
        typist.sees(lambda: typist.desk.line is None)
        assert state(context, proposal).state == "pending"
        typist.type("r", "use the mirror", ENTER)
        typist.sees(lambda: state(context, proposal).state == "rejected")
    assert state(context, proposal).note == "use the mirror"


def test_what_was_selected_when_r_was_pressed_is_rejected_and_nothing_else(
    context: Context, make_bottle: Make, ask: Ask
) -> None:
    slug = make_bottle()
    first, second = ask(slug, "one.example.com"), ask(slug, "two.example.com")
    with opened(context) as typist:
        typist.sees_whole(first)
        typist.type("r", "not this")
        typist.sees(lambda: typist.desk.line)
        assert typist.desk.line is not None
        assert f"{slug} asks for: GET https://one.example.com:443" in typist.desk.line.question
        approve(context.paths, first.id)
        typist.sees(lambda: typist.desk.board.proposal == second)
        typist.type(ENTER)
        typist.sees_notice("was decided before")
    assert state(context, second).state == "pending"


def test_what_was_exchanged_while_the_reason_was_typed_is_not_rejected(
    context: Context, make_bottle: Make, ask: Ask
) -> None:
    proposal = ask(make_bottle())
    with opened(context) as typist:
        typist.sees_whole(proposal)
        typist.type("r", "not this")
        typist.sees(lambda: typist.desk.line)
        (file,) = context.paths.bottle(proposal.slug).proposals.glob(f"{proposal.id}*")
        other = dataclasses.replace(proposal, reason="another one")
        file.write_text(
            file.read_text()
            .replace(proposal.reason, other.reason)
            .replace(proposal.content_hash, other.content_hash)
        )
        typist.type(ENTER)
        typist.sees_notice("no proposal")
    assert '"pending"' in file.read_text()


def test_rejecting_asks_once_even_what_is_longer_than_the_screen(
    context: Context, make_bottle: Make, ask: Ask
) -> None:
    proposal = ask(make_bottle(), reason="word " * 300)
    with opened(context, size=(60, 15)) as typist:
        typist.sees(lambda: typist.desk.present_details.asked)
        typist.type("r", ENTER)
        typist.sees(lambda: state(context, proposal).state == "rejected")
        assert typist.desk.page is None


def test_approving_for_good_shows_the_manifest_first(context: Context, make_bottle: Make, ask: Ask) -> None:
    slug = make_bottle()
    manifest = context.paths.bottles_config / "demo.md"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("---\nbackend: bubblewrap\n---\nMine.\n")
    proposal = ask(slug)
    with opened(context) as typist:
        typist.sees_whole(proposal)
        typist.type("A")
        typist.sees_page("demo.md")
        typist.sees(lambda: typist.desk.page and typist.desk.page.seen)
        assert state(context, proposal).state == "pending"
        typist.type("y")
        typist.sees(lambda: state(context, proposal).state == "active")
    assert "new.example.com" in manifest.read_text()


def test_tab_goes_over_all_that_is_asked_for(context: Context, make_bottle: Make, ask: Ask) -> None:
    one, two = sorted([make_bottle(), make_bottle()])
    first, second = ask(one, "one.example.com"), ask(two, "two.example.com")
    with opened(context) as typist:
        typist.sees_whole(first)
        typist.type(TAB)
        typist.sees_whole(second)
        typist.type("a")
        typist.sees(lambda: state(context, second).state == "active")
    assert state(context, first).state == "pending"


def test_keys_without_a_subject_say_so(context: Context, make_bottle: Make) -> None:
    with opened(context) as typist:
        for key in ("g", "s", "R", "d", "l", ENTER):
            typist.type(key)
            typist.sees_notice("there is no bottle")
            typist.type(ESCAPE)
            typist.sees(lambda: typist.desk.notices.latest is None)
        slug = make_bottle()
        typist.sees_bottles(slug)
        for key, reason in (
            ("a", "nothing is asked for"),
            ("r", "nothing is asked for"),
            ("g", "R resumes it"),
        ):
            typist.type(key)
            typist.sees_notice(reason)


def test_stopping_asks_and_no_is_no(context: Context, make_bottle: Make) -> None:
    slug = make_bottle()
    with living(context, slug), opened(context) as typist:
        typist.sees_bottles(slug)
        typist.type("s")
        typist.sees_page("ends its program")
        typist.type("n")
        typist.sees(lambda: typist.desk.page is None)
        assert not typist.desk.notices.busy


@contextlib.contextmanager
def slow_stop(monkeypatch: pytest.MonkeyPatch, fails: str = "") -> object:  # type: ignore[misc]
    """Have stopping take until it is let go on, as an engine that does not answer has it."""
    begun, go_on = threading.Event(), threading.Event()

    def carry_out() -> Told:
        begun.set()
        assert go_on.wait(20)
        if fails:
            raise BottlemuxError(fails, hint="mend it")
        return Told("it was stopped")

    action = Action(
        "stop", "stop", "Is slow.", (), "bottle", lambda _subject: None, lambda _c, _s: Prepared(carry_out)
    )
    monkeypatch.setitem(catalogue._BY_NAME, "stop", action)
    yield begun, go_on
    go_on.set()


def test_slow_work_goes_on_beside_the_screen(
    context: Context, make_bottle: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = sorted([make_bottle(), make_bottle()])
    proposal = ask(two)
    with (
        slow_stop(monkeypatch) as (begun, go_on),
        living(context, one),
        living(context, two),
        opened(context) as typist,
    ):  # type: ignore[misc]
        typist.sees_bottles(two, one)
        typist.type(DOWN, "s")
        assert begun.wait(10)
        typist.sees_notice(f"stop {one} ...")
        typist.type("s")
        typist.sees_notice("wait")
        typist.type("q")
        typist.sees_notice("not yet")
        typist.type(UP)
        typist.sees_whole(proposal)
        typist.type("a")
        typist.sees(lambda: state(context, proposal).state == "active")
        typist.sees(lambda: typist.desk.notices.busy == {one: f"stop {one}"})
        go_on.set()
        typist.sees_notice("it was stopped")


def test_an_error_stays_until_it_is_dismissed(
    context: Context, make_bottle: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    slug = make_bottle()
    with slow_stop(monkeypatch, "the engine is gone") as (_begun, go_on), opened(context) as typist:  # type: ignore[misc]
        go_on.set()
        typist.sees_bottles(slug)
        typist.type("s")
        typist.sees_notice("the engine is gone (mend it)")
        time.sleep(1.2)
        typist.sees_notice("the engine is gone")
        typist.type("m")
        typist.sees_page("mend it")
        typist.type(ESCAPE, ESCAPE)
        typist.sees(lambda: typist.desk.notices.latest is None)


def test_help_names_every_key(context: Context) -> None:
    from bottlemux.dashboard.keys import KEYS

    with opened(context) as typist:
        typist.type("?")
        typist.sees_page("Go to the bottle's window.")
        page = typist.desk.page
        assert page is not None
        text = "\n".join(page.lines)
        for key in KEYS:
            assert f"{key.name:<6} {key.help}" in text


def test_a_broken_record_is_a_row(context: Context, make_bottle: Make) -> None:
    slug = make_bottle()
    context.paths.bottle(slug).metadata.write_text("{}")
    with opened(context) as typist:
        typist.sees_bottles(slug)
        assert typist.desk.board.rows[0].status.state == "broken"
        typist.type("R")
        typist.sees_notice("broken record")


def test_the_state_directory_may_vanish(context: Context, make_bottle: Make) -> None:
    import shutil

    slug = make_bottle()
    with opened(context) as typist:
        typist.sees_bottles(slug)
        shutil.rmtree(context.paths.state)
        typist.sees_bottles()
        assert typist.dashboard.app.is_running
        until(lambda: typist.desk.board.current is None)


@pytest.mark.bwrap
def test_a_bottle_does_not_silently_come_back_without_its_credential(
    context: Context, make_bottle: Make
) -> None:
    """tmux's environment, in which the workspace's own dashboard runs, holds none."""
    record = context.store.load(make_bottle())
    context.store.save(dataclasses.replace(record, credentials=("API_TOKEN",)))
    with opened(context) as typist:
        typist.sees_bottles(record.identity)
        typist.type("R")
        typist.sees_page("API_TOKEN is not set here")
        typist.type("n")
        typist.sees(lambda: typist.desk.page is None)
    assert not context.paths.bottle(record.identity).status.exists()
