"""What agents ask for, decided from the palette: the real request, and nothing but what was shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bottlemux.approvals.finding import store_of
from bottlemux.files import make_private_dir
from bottlemux.palette.drawing import PageControl
from bottlemux.palette.facts import read_names, read_slowly
from bottlemux.palette.pages import ListPage, TextPage
from sidecars.egress.routes import Route, RouteSet
from sidecars.supervise.proposal import Proposal

from .test_flow import Here

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.lifecycle.context import Context

    from .conftest import Screen

MANIFEST = "---\negress:\n  routes:\n    - host: files.example.com   # kept\n---\nThe body.\n"


@pytest.fixture
def slug(context: Context) -> str:
    """Return a bottle that ended, with a manifest and routes."""
    make_private_dir(context.paths.bottles_config)
    (context.paths.bottles_config / "dev.md").write_text(MANIFEST)
    record = context.store.create("tester", bottle="dev", backend="bubblewrap", cwd=context.cwd)
    context.paths.bottle(record.identity).routes.write_text(
        RouteSet(routes=(Route(host="files.example.com"),)).dump()
    )
    return record.identity


@pytest.fixture
def proposal(context: Context, slug: str) -> Proposal:
    return propose(context, slug)


def propose(context: Context, slug: str, reason: str = "the task needs it", **request: Any) -> Proposal:
    wanted = {"host": "new.example.com", "port": 443, "scheme": "https", **request}
    made = Proposal(slug, "egress", wanted, reason)
    store_of(context.paths, slug).save(made)
    return made


@pytest.fixture
def here(context: Context) -> Here:
    return Here(context)


def look(here: Here, context: Context) -> None:
    here.flow.know(read_slowly(context, read_names(context)))


def hosts(context: Context, slug: str) -> list[str]:
    return [route.host for route in RouteSet.load(context.paths.bottle(slug).routes).routes]


def state(context: Context, proposal: Proposal) -> str:
    return store_of(context.paths, proposal.slug).load(proposal.id).state


def asked(here: Here) -> TextPage:
    page = here.flow.page
    assert isinstance(page, TextPage)
    assert page.question
    return page


def test_it_is_offered_first_with_what_is_asked(here: Here, context: Context, proposal: Proposal) -> None:
    look(here, context)
    page = here.flow.page
    assert isinstance(page, ListPage)
    first = page.shown[0].row
    assert (first.title, first.detail) == (
        f"decide {proposal.slug}",
        "any method https://new.example.com:443 any path",
    )


def test_approving_shows_request_and_change_and_does_it(
    here: Here, context: Context, proposal: Proposal
) -> None:
    look(here, context)
    here.pick("decide")
    here.pick("approve")
    page = asked(here)
    for text in (proposal.content_hash, "the task needs it", '+{"host": "new.example.com"'):
        assert text in page.text
    assert state(context, proposal) == "pending"
    here.agree()
    assert state(context, proposal) == "active"
    assert hosts(context, proposal.slug) == ["files.example.com", "new.example.com"]
    assert (context.paths.bottles_config / "dev.md").read_text() == MANIFEST


def test_no_decides_nothing(here: Here, context: Context, proposal: Proposal) -> None:
    look(here, context)
    here.pick("decide")
    here.pick("approve")
    asked(here)
    here.flow.answer(yes=False)
    assert here.title == f"decide {proposal.slug}"
    assert state(context, proposal) == "pending"


def test_for_good_shows_the_manifests_change_too(here: Here, context: Context, proposal: Proposal) -> None:
    look(here, context)
    here.pick("decide")
    here.pick("for good")
    assert "+    - host: new.example.com" in asked(here).text
    assert "dev.md if approved" in asked(here).text
    here.agree()
    assert "# kept" in (context.paths.bottles_config / "dev.md").read_text()
    assert "new.example.com" in (context.paths.bottles_config / "dev.md").read_text()


@pytest.mark.parametrize("reason", ["", "no network, please: ask me"], ids=["no-reason", "a-reason"])
def test_rejecting_takes_a_reason_along(
    here: Here, context: Context, proposal: Proposal, reason: str
) -> None:
    look(here, context)
    here.pick("decide")
    here.pick("reject")
    assert here.title == "reject / reason for the agent"
    here.pick(reason)
    assert reason in asked(here).text
    here.agree()
    assert state(context, proposal) == "rejected"
    assert store_of(context.paths, proposal.slug).load(proposal.id).note == reason
    assert hosts(context, proposal.slug) == ["files.example.com"]


def test_what_was_exchanged_after_it_was_shown_is_not_approved(
    here: Here, context: Context, proposal: Proposal
) -> None:
    """The agent cannot write there; whoever can still gets no approval for what the person did not see."""
    look(here, context)
    here.pick("decide")
    here.pick("approve")
    asked(here)
    file = next(context.paths.bottle(proposal.slug).proposals.glob(f"{proposal.id}*"))
    other = replace(proposal, request={**proposal.request, "host": "evil.example.com"})
    file.write_text(file.read_text().replace("new.example.com", "evil.example.com").replace(
        proposal.content_hash, other.content_hash))  # fmt: skip
    here.agree()
    page = here.flow.page
    assert isinstance(page, TextPage)
    assert page.title.endswith(": failed")
    assert hosts(context, proposal.slug) == ["files.example.com"]


def test_what_cannot_be_approved_says_why(here: Here, context: Context, slug: str) -> None:
    made = Proposal(slug, "egress", {"host": "x y", "port": 443, "scheme": "https"}, "because")
    store_of(context.paths, slug).save(made)
    look(here, context)
    here.pick("decide")
    here.pick("approve")
    page = here.flow.page
    assert isinstance(page, TextPage)
    assert (page.title.endswith(": failed"), page.question) == (True, "")


@pytest.mark.tmux
def test_on_a_small_screen_the_whole_request_can_be_read_before_the_answer(
    screen: Callable[..., Screen], context: Context, slug: str
) -> None:
    reason = "\n".join(f"line {number} \x1b]0;pwned\x07\u202e" for number in range(30))
    made = propose(context, slug, reason)
    one = screen((60, 15))
    one.run(context.own_argv("palette", "--here", "--do", "approve"), cwd=context.cwd)
    one.shows("decide")
    one.keys("Enter")
    one.shows("> approve")
    one.keys("Enter")
    text = one.shows("Approve it? [y/N]")
    assert "more lines: Down --" in text
    seen = ""
    for _page in range(8):
        seen += one.text()
        one.keys("NPage")
        one.shows("Approve it? [y/N]")
    until_shown = one.shows('+{"host": "new.example.com"')
    assert "line 29" in seen + until_shown
    assert "\\x1b]0;pwned" in seen
    one.keys("y")
    one.shows("may now do what it asked for")
    assert state(context, made) == "active"
    one.keys("Escape")
    assert one.dead() == "0"


def test_nobody_agrees_to_what_was_not_on_the_screen(here: Here, context: Context, slug: str) -> None:
    """A long reason pushes the change itself off a small screen."""
    made = propose(context, slug, "I need it\n" + "because of the build log\n" * 30)
    look(here, context)
    here.flow.choose()
    here.flow.choose()
    page = here.flow.page
    assert isinstance(page, TextPage)
    draw = lambda: PageControl(lambda: page).create_content(100, 24)  # noqa: E731
    here.flow.answer(yes=True)
    assert state(context, made) == "pending"
    assert page.top == 0, "a key from before it was on the screen did something"
    draw()
    here.flow.answer(yes=True)
    assert state(context, made) == "pending"
    for _ in range(9):
        draw()
        here.flow.answer(yes=True)
    assert state(context, made) == "active"
