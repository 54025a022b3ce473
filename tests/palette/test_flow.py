"""What leads where, with nothing in the background: every step happens at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bottlemux.actions.catalogue import find_action
from bottlemux.actions.model import Seat, Subject
from bottlemux.palette.drawing import PageControl
from bottlemux.palette.facts import BackendFacts, Facts, ProposalFacts, read_names, read_slowly
from bottlemux.palette.flow import Flow
from bottlemux.palette.pages import ListPage, TextPage
from bottlemux.palette.screen import _hints
from bottlemux.palette.starting import skip_answered

from .conftest import living

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bottlemux.lifecycle.context import Context

ALL = ("mount", "clone", "copy")
ONE = {"bubblewrap": BackendFacts(True, "", ALL)}
TWO = {**ONE, "docker": BackendFacts(True, "", ALL)}
SHIPPED = dict.fromkeys(("default", "solo"), "shipped")
ONE_LAYOUT = {"default": "shipped"}
BROKEN = {"bubblewrap": BackendFacts(False, "no user namespaces", ALL)}


class Here:
    """A flow whose background is the foreground."""

    def __init__(self, context: Context) -> None:
        self.left: list[Sequence[str] | None] = []

        def run[T](work: Callable[[], T], done: Callable[[T], None]) -> None:
            done(work())

        self.flow = Flow(
            context, run=run, leave=self.left.append, go_argv=lambda slug: ["go", slug or "workspace"]
        )

    def know(self, **facts: object) -> None:
        self.flow.know(Facts(**{"agents": ("demo",), "layouts": SHIPPED, **facts}))  # type: ignore[arg-type]

    def pick(self, query: str) -> None:
        page = self.flow.page
        assert isinstance(page, ListPage)
        page.search(query)
        self.flow.choose()

    def agree(self) -> None:
        """Say yes to what a screen with room for all of it showed."""
        PageControl(lambda: self.flow.page).create_content(200, 200)
        self.flow.answer(yes=True)

    @property
    def title(self) -> str:
        assert not isinstance(self.flow.page, list)
        return self.flow.page.title

    def hints(self) -> list[str]:
        return _hints(self.flow, 200).split("  ")

    def rows(self) -> dict[str, str]:
        page = self.flow.page
        assert isinstance(page, ListPage)
        return {shown.row.title: shown.row.disabled for shown in page.shown}


@pytest.fixture
def here(context: Context) -> Here:
    return Here(context)


@pytest.mark.parametrize(
    ("backends", "layouts", "titles"),
    [
        pytest.param(TWO, SHIPPED, ["backend", "workspace", "layout"], id="everything-is-asked"),
        pytest.param(ONE, SHIPPED, ["workspace", "layout"], id="one-backend"),
        pytest.param(ONE, ONE_LAYOUT, ["workspace"], id="one-layout"),
        pytest.param({"bubblewrap": BackendFacts(True, "", ("mount",))}, ONE_LAYOUT, [], id="nothing-to-ask"),
        pytest.param({**ONE, "docker": BROKEN["bubblewrap"]}, ONE_LAYOUT, ["workspace"], id="one-that-works"),
        pytest.param(
            {**ONE, "docker": None}, ONE_LAYOUT, ["backend", "workspace"], id="one-has-not-answered"
        ),
    ],
)
def test_steps_with_one_answer_are_skipped(
    here: Here, backends: dict[str, BackendFacts], layouts: dict[str, str], titles: list[str]
) -> None:
    here.know(backends=backends, layouts=layouts)
    here.pick("start demo")
    for title in titles:
        assert here.title == f"start demo / {title}"
        here.flow.choose()
    assert here.title.removesuffix(": failed") == "start demo"


def test_going_back_step_by_step_and_out(here: Here) -> None:
    here.know(backends=TWO)
    here.pick("start demo")
    here.pick("bubblewrap")
    here.pick("clone")
    titles = [here.title]
    while not here.left:
        here.flow.back()
        titles.append(here.title)
    assert titles == ["start demo / layout", "start demo / workspace", "start demo / backend", "", ""]
    assert here.left == [None]


def test_a_late_answer_skips_a_step_nobody_has_touched(here: Here) -> None:
    here.know(backends={"bubblewrap": None})
    here.pick("start demo")
    assert here.title == "start demo / backend"
    here.know(backends=ONE)
    skip_answered(here.flow)
    assert here.title == "start demo / workspace"


def test_a_late_answer_leaves_a_step_that_was_touched(here: Here) -> None:
    here.know(backends={"bubblewrap": None})
    here.pick("start demo")
    page = here.flow.page
    assert isinstance(page, ListPage)
    page.move(1)
    here.know(backends=ONE)
    skip_answered(here.flow)
    assert here.title == "start demo / backend"


def test_without_a_backend_agents_say_why_and_cannot_be_chosen(here: Here) -> None:
    here.know(backends=BROKEN)
    assert "no user namespaces" in here.rows()["start demo"]
    here.pick("start demo")
    assert len(here.flow.pages) == 1


def test_a_prompt_goes_along(here: Here) -> None:
    here.know(backends=ONE)
    page = here.flow.page
    assert isinstance(page, ListPage)
    page.search("demo: fix the: bug")
    assert page.prompt == "fix the: bug"
    assert list(here.rows()) == ["start demo"]


@pytest.mark.bwrap
def test_the_preflight_shows_what_was_chosen_and_no_means_no(here: Here, context: Context) -> None:
    here.know(backends=ONE)
    here.pick("demo: fix the bug")
    here.pick("copy")
    here.pick("solo")
    page = here.flow.page
    assert isinstance(page, TextPage)
    assert page.question == "Start it?"
    assert f"copy of {context.cwd}" in page.text
    assert "fix the bug" in page.text
    here.flow.answer(yes=False)
    assert here.title == "start demo / layout"
    assert not context.paths.bottles.exists()


def test_a_failure_is_shown_with_its_hint_and_can_be_left(here: Here, context: Context) -> None:
    context.paths.agents_config.mkdir(parents=True)
    (context.paths.agents_config / "bad.md").write_text("---\nbottel: dev\n---\n")
    here.know(agents=("bad",), backends=ONE)
    here.flow.choose_other()
    page = here.flow.page
    assert isinstance(page, TextPage)
    assert page.title == "start bad: failed"
    assert "bottel" in page.text
    here.flow.choose()
    assert len(here.flow.pages) == 1


def test_rows_of_bottles(here: Here, context: Context, make_bottle: Callable[[], str]) -> None:
    one, other = make_bottle(), make_bottle()
    with living(context, one):
        here.flow.know(read_names(context))
        titles = list(here.rows())
        assert titles.index(f"go to {one}") < titles.index("start demo") < titles.index(f"resume {other}")
        here.pick("stop ...")
        assert here.rows() == {one: "", other: "it does not run: resume it first"}
        here.flow.back()
        here.pick("delete ...")
        assert here.rows() == {other: "", one: "it is running: stop it first"}


def test_an_action_without_a_bottle_is_disabled(here: Here) -> None:
    here.know(backends=ONE)
    assert here.rows()["stop ..."] == "there is no bottle"
    here.pick("stop")
    assert len(here.flow.pages) == 1


def test_tab_offers_all_that_can_be_done_with_a_bottle(
    here: Here, make_bottle: Callable[[], str], context: Context
) -> None:
    slug = make_bottle()
    here.flow.know(read_names(context))
    page = here.flow.page
    assert isinstance(page, ListPage)
    page.search(slug)
    here.flow.choose_other()
    assert here.title == slug
    assert here.rows()["delete"] == ""
    assert here.rows()["stop"] == "it does not run: resume it first"


@pytest.mark.parametrize(
    ("query", "hints"),
    [
        pytest.param("start demo", ["Enter choose", "Tab start as configured", "Esc leave"], id="agent"),
        pytest.param("go to", ["Enter choose", "Tab all actions", "Esc leave"], id="bottle"),
        pytest.param("doctor", ["Enter choose", "Esc leave"], id="action"),
        pytest.param("delete layout", ["Esc leave"], id="what-cannot-be-chosen"),
        pytest.param("arrange as solo", ["Enter choose", "Tab all actions", "Esc leave"], id="layout"),
        pytest.param("nothing like this", ["Esc leave"], id="nothing"),
    ],
)
def test_the_last_line_says_what_keys_do(here: Here, query: str, hints: list[str]) -> None:
    here.flow.take(here.flow.context, lambda _slug: [], Seat("/dev/pts/9", "%3", "demo-00001"))
    here.know(backends=ONE, alive={"demo-00001": True})
    page = here.flow.page
    assert isinstance(page, ListPage)
    page.search(query)
    assert here.hints()[: len(hints) + 1] == [*hints, "'AGENT: TASK' starts it with a task"]


def test_tab_does_what_the_last_line_says_at_every_step(here: Here) -> None:
    here.know(backends=TWO)
    here.pick("start demo")
    assert "Tab ask no more" in here.hints()
    page = here.flow.page
    assert isinstance(page, ListPage)
    page.search("bubblewrap")
    here.flow.choose_other()
    assert here.title.removesuffix(": failed") == "start demo"
    here.flow.back()
    assert here.title == "start demo / backend"
    here.flow.back()
    page = here.flow.main
    page.search("doctor")
    assert "Tab" not in " ".join(here.hints())
    here.flow.choose_other()
    assert here.flow.page is page


def test_the_last_line_tells_what_yes_means_before_all_was_seen(here: Here) -> None:
    page = TextPage("", "\n".join("line" for _ in range(30)), "Go?")
    here.flow.push(page)
    PageControl(lambda: page).create_content(80, 10)
    assert here.hints() == [
        "y shows more, at the end it is yes",
        "n/Esc no",
        "Up/Down scroll",
        "Ctrl-C leave",
    ]
    page.move(100)
    PageControl(lambda: page).create_content(80, 10)
    assert here.hints() == ["y yes", "n/Esc no", "Up/Down scroll", "Ctrl-C leave"]


def test_deleting_asks_first(here: Here, make_bottle: Callable[[], str], context: Context) -> None:
    slug = make_bottle()
    here.flow.know(read_names(context))
    here.pick("delete ...")
    here.pick(slug)
    assert isinstance(here.flow.page, TextPage)
    assert here.flow.page.question == "Delete it?"
    here.flow.answer(yes=False)
    assert context.store.identities() == [slug]
    here.pick(slug)
    here.agree()
    assert context.store.identities() == []
    assert isinstance(here.flow.page, TextPage)
    assert here.flow.page.text == f"{slug}: removed"


def test_the_audit_takes_over_the_terminal(
    here: Here, make_bottle: Callable[[], str], context: Context
) -> None:
    slug = make_bottle()
    here.flow.know(read_names(context))
    here.pick("audit of ...")
    here.pick(slug)
    (argv,) = here.left
    assert argv is not None
    assert list(argv[-3:]) == ["audit", slug, "-f"]


def test_new_facts_do_not_move_the_selection(here: Here) -> None:
    here.know(agents=("demo", "zeta"), backends=ONE)
    page = here.flow.page
    assert isinstance(page, ListPage)
    page.move(1)
    assert page.current is not None
    assert page.current.name == "zeta"
    here.know(agents=("alpha", "beta", "demo", "zeta"), backends=ONE)
    assert page.current.name == "zeta"


def test_what_was_chosen_is_first_the_next_time(here: Here, context: Context) -> None:
    here.know(backends=ONE)
    here.pick("doctor")
    again = Here(context)
    again.know(backends=ONE)
    assert next(iter(again.rows())) == "doctor"


def test_what_failed_or_was_not_agreed_to_is_not_first_the_next_time(
    here: Here, make_bottle: Callable[[], str], context: Context
) -> None:
    slug = make_bottle()
    here.flow.know(read_names(context))
    here.pick("delete ...")
    here.pick(slug)
    here.flow.answer(yes=False)
    here.flow.back()
    here.know(alive={"demo-00001": True}, layouts={"gone": "user"})
    here.pick("arrange as gone")
    assert here.title == "arrange as gone: failed"
    here.flow.back()
    here.pick("go to demo-00001")
    assert here.title == "go to demo-00001: failed"
    assert not context.paths.recent.exists()


def test_only_layouts_of_ones_own_can_be_deleted_and_typing_finds_that(here: Here, context: Context) -> None:
    context.paths.layouts.mkdir(parents=True)
    (context.paths.layouts / "mine.yaml").write_text("windows: [{panes: [{role: agent}]}]")
    (context.paths.layouts / "solo.yaml").write_text("windows: [{panes: [{role: agent}]}]")
    here.flow.know(read_names(context))
    here.pick("delete lay")
    possible = [title for title, reason in here.rows().items() if not reason]
    assert possible == ["delete layout mine", "delete layout solo"]
    assert here.rows()["delete layout default"] == "not one of yours"
    here.pick("mine")
    here.agree()
    assert not (context.paths.layouts / "mine.yaml").exists()


@pytest.mark.parametrize("query", ["approve ...", "approve for", "reject"])
def test_typing_finds_what_is_done_with_requests(here: Here, query: str) -> None:
    here.know()
    here.pick(query)
    assert len(here.flow.pages) == 1
    assert set(here.rows().values()) == {"no agent asks for anything"}
    here.know(proposals=(ProposalFacts("p-1", "demo-00001", "example.com", ""),))
    here.pick(query)
    assert here.title == "what agents ask for"
    assert list(here.rows()) == ["decide demo-00001"]


def test_without_a_layout_of_ones_own_none_can_be_deleted(here: Here) -> None:
    here.know()
    assert here.rows()["delete layout ..."] == "not one of yours"


def test_the_directory_is_asked_for_where_several_are_known(here: Here, context: Context) -> None:
    other = context.cwd.parent / "other"
    other.mkdir()
    here.know(backends=ONE, layouts=ONE_LAYOUT, directories=(str(context.cwd), str(other)))
    here.pick("start demo")
    assert here.title == "start demo / directory"
    assert list(here.rows()) == [str(context.cwd), str(other)]
    here.pick(str(other))
    assert here.title == "start demo / workspace"
    here.pick("copy")
    page = here.flow.page
    assert isinstance(page, TextPage)
    assert f"copy of {other}" in page.text


def test_another_directory_can_be_typed_and_a_wrong_one_says_so(here: Here, context: Context) -> None:
    here.know(backends=ONE, layouts=ONE_LAYOUT, directories=(str(context.cwd), "/"))
    here.pick("start demo")
    here.pick("/no/such/directory")
    here.flow.choose()
    page = here.flow.page
    assert isinstance(page, TextPage)
    assert page.title == "start demo: failed"
    assert "'/no/such/directory' is not a directory" in page.text
    here.flow.back()
    here.flow.back()
    assert here.title == "start demo / directory"


def test_without_agents_there_is_a_way_to_one(here: Here) -> None:
    here.know(agents=())
    assert "bottlemux init" in here.rows()["start ..."]


def test_what_cannot_be_chosen_stands_last(here: Here) -> None:
    here.know()
    disabled = [bool(reason) for reason in here.rows().values()]
    assert disabled == sorted(disabled)
    assert here.rows()["arrange as solo"] == "no bottle runs"
    assert here.rows()["next bottle"] == "not in the workspace's tmux"


def test_what_is_wanted_typed_is_asked_for(here: Here) -> None:
    here.flow.take(here.flow.context, lambda _slug: [], Seat("/dev/pts/9", "%3", "demo-00001"))
    here.know()
    here.pick("save layout")
    assert here.title == "save layout / name of the layout"
    assert list(here.rows().values()) == ["type the name of the layout"]
    here.flow.choose()
    assert here.title == "save layout / name of the layout"
    here.pick("a/b")
    page = here.flow.page
    assert isinstance(page, TextPage)
    assert page.title == "save layout: failed"
    here.flow.back()
    assert here.title == "save layout / name of the layout"


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("start", "start"),
        ("stop", "stop"),
        ("approve", "what agents ask for"),
        ("apply-layout", "arrange"),
        ("doctor", "doctor"),
    ],
)
def test_a_single_action_can_be_all_there_is(here: Here, name: str, title: str) -> None:
    here.know()
    action = find_action(name)
    here.flow.open_at(action, Subject("workspace") if action.kind == "workspace" else None)
    assert here.title == title
    here.flow.back()
    assert here.left == [None]


@pytest.mark.bwrap
def test_commands_of_a_projects_layout_are_shown_and_asked_about_first(here: Here, context: Context) -> None:
    layouts = context.cwd / ".bottlemux" / "layouts"
    layouts.mkdir(parents=True)
    (layouts / "theirs.yaml").write_text("windows: [{panes: [{role: agent}, touch me]}]")
    here.know(backends=ONE, layouts={**ONE_LAYOUT, "theirs": "project"})
    for answer in (False, True):
        here.pick("start demo")
        here.pick("copy")
        here.pick("theirs")
        page = here.flow.page
        assert isinstance(page, TextPage)
        assert "window 1, pane 2: touch me" in page.text
        assert page.question.startswith("Let this layout run them")
        page.unseen = 0
        here.flow.answer(yes=answer)
        if not answer:
            assert here.title == "start demo / layout"
            while len(here.flow.pages) > 1:
                here.flow.back()
    page = here.flow.page
    assert isinstance(page, TextPage)
    assert page.question == "Start it?"
    here.flow.back()
    assert here.title == "start demo / layout"


def test_the_layouts_of_a_project_are_arranged_in_with_the_same_question(
    here: Here, context: Context
) -> None:
    layouts = context.cwd / ".bottlemux" / "layouts"
    layouts.mkdir(parents=True)
    (layouts / "theirs.yaml").write_text("windows: [{panes: [{role: agent}]}, {panes: [touch me]}]")
    here.flow.do(find_action("apply-layout"), Subject("layout", "theirs", alive=True))
    page = here.flow.page
    assert isinstance(page, TextPage)
    assert "window 2, pane 1: touch me" in page.text
    assert page.question.startswith("Let this layout run them")


@pytest.mark.bwrap
def test_what_cannot_be_typed_here_is_not_advised(here: Here, context: Context) -> None:
    here.flow.take(dataclasses.replace(context, cwd=Path("/etc")), lambda _slug: [], None)
    here.know(backends=ONE)
    here.pick("start demo")
    here.flow.choose_other()
    page = here.flow.page
    assert isinstance(page, TextPage)
    assert page.text.endswith("\n\nstart it in a project's directory")


def test_the_home_directory_is_offered_last(
    context: Context, tmp_path: Path, make_bottle: Callable[[], str]
) -> None:
    make_bottle()
    at_home = dataclasses.replace(context, cwd=tmp_path / "home")
    found = read_slowly(at_home, read_names(at_home)).directories
    assert found == (str(tmp_path / "project"), str(tmp_path / "home"))
