"""The steps of a start: backend, directory, workspace, layout. A step with one answer is skipped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bottlemux.actions.catalogue import find_action
from bottlemux.actions.model import Subject
from bottlemux.palette import rows
from bottlemux.palette.pages import ListPage, Other

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bottlemux.lifecycle.planning import StartRequest
    from bottlemux.palette.facts import Facts
    from bottlemux.palette.flow import Flow
    from bottlemux.palette.rows import Row


@dataclass(frozen=True)
class Choice:
    """What was chosen so far; empty leaves it to manifests and configuration."""

    agent: str
    prompt: str = ""
    backend: str = ""
    workspace: str = ""
    layout: str = ""
    directory: str = ""

    def request(self) -> StartRequest:
        """Return it as the request of a start."""
        from pathlib import Path

        from bottlemux.lifecycle.planning import StartRequest

        return StartRequest(
            agent=self.agent,
            backend=self.backend or None,
            cwd=Path(self.directory).expanduser() if self.directory else None,
            workspace=self.workspace or None,
            layout=self.layout or None,
            prompt=self.prompt,
        )


@dataclass(frozen=True)
class Step:
    """One question. ``has_one_answer`` says ``None`` as long as that is not known."""

    name: str
    rows: Callable[[Facts, Choice, str], list[Row]]
    has_one_answer: Callable[[Facts, Choice], bool | None]
    put: Callable[[Choice, str], Choice]


def _workspaces(facts: Facts, choice: Choice) -> Sequence[str]:
    known = facts.backends.get(choice.backend or next(iter(facts.available), ""))
    return known.workspaces if known is not None else tuple(rows.WORKSPACES)


STEPS = (
    Step(
        "backend",
        lambda facts, _choice, _query: rows.backend_rows(facts),
        lambda facts, _choice: len(facts.available) <= 1 if facts.backends_known else None,
        lambda choice, answer: replace(choice, backend=answer),
    ),
    Step(
        "directory",
        lambda facts, _choice, query: rows.directory_rows(facts, query),
        lambda facts, _choice: len(facts.directories) <= 1,
        lambda choice, answer: replace(choice, directory=answer),
    ),
    Step(
        "workspace",
        lambda facts, choice, _query: rows.workspace_rows(_workspaces(facts, choice)),
        lambda facts, choice: len(_workspaces(facts, choice)) <= 1,
        lambda choice, answer: replace(choice, workspace=answer),
    ),
    Step(
        "layout",
        lambda facts, _choice, _query: rows.layout_rows(facts),
        lambda facts, _choice: len(facts.layouts) <= 1,
        lambda choice, answer: replace(choice, layout=answer),
    ),
)


@dataclass
class StepPage(ListPage):
    """The list of one step, with what was chosen in the steps before."""

    choice: Choice = Choice("")
    step: int = 0

    def with_current(self) -> Choice:
        """Return the choice as it will be with the selected row."""
        row = self.current
        return STEPS[self.step].put(self.choice, row.name) if row is not None else self.choice


def choose_options(flow: Flow, agent: str, prompt: str) -> None:
    """Ask what there is to ask, one step after the other, then show the preflight."""
    _ask(flow, Choice(agent, prompt), 0)


def start_with_defaults(flow: Flow, agent: str, prompt: str = "") -> None:
    """Show the preflight of a start that leaves everything to manifests and configuration."""
    confirm_start(flow, Choice(agent, prompt))


def confirm_start(flow: Flow, choice: Choice) -> None:
    """Show the preflight, ask, and start."""
    blocked = flow.facts.blocked
    subject = Subject("agent", choice.agent, request=choice.request(), blocked=blocked, seat=flow.seat)
    flow.do(find_action("start"), subject)


def skip_answered(flow: Flow) -> None:
    """Go on when the step on the screen turns out to have one answer and nobody has touched it."""
    page = flow.page
    if (
        isinstance(page, StepPage)
        and not page.touched
        and STEPS[page.step].has_one_answer(flow.facts, page.choice)
    ):
        flow.pages.pop()
        _ask(flow, page.choice, page.step + 1)


def _ask(flow: Flow, choice: Choice, first: int) -> None:
    for index, step in enumerate(STEPS[first:], start=first):
        if not step.has_one_answer(flow.facts, choice):
            flow.push(_page(flow, choice, index))
            return
    confirm_start(flow, choice)


def _page(flow: Flow, choice: Choice, index: int) -> StepPage:
    step = STEPS[index]
    page = StepPage(
        f"start {choice.agent} / {step.name}",
        lambda query: step.rows(flow.facts, choice, query),
        lambda row: _ask(flow, step.put(choice, row.name), index + 1),
        choice=choice,
        step=index,
    )
    page.other = Other("ask no more", lambda: confirm_start(flow, page.with_current()))
    return page
