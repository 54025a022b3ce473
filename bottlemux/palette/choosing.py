"""What the rows of the lists lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.actions.catalogue import find_action
from bottlemux.actions.model import Subject
from bottlemux.palette import rows
from bottlemux.palette.pages import ListPage, MarkPage, Other
from bottlemux.palette.rows import Row

if TYPE_CHECKING:
    from bottlemux.actions.model import Action
    from bottlemux.palette.flow import Flow

_NO_BOTTLE = "there is no bottle"


def choose(flow: Flow, row: Row) -> None:
    """Do what Enter means for a row of the main list."""
    from bottlemux.palette.starting import choose_options

    flow.remember(row)
    match row.target:
        case "agent":
            choose_options(flow, row.name, flow.main.prompt)
        case "bottle":
            begin(
                flow, find_action("go" if flow.facts.alive.get(row.name) else "resume"), flow.bottle(row.name)
            )
        case "proposal":
            show_actions(flow, row)
        case "layout":
            begin(flow, find_action("apply-layout"), rows.layout_subject(flow.facts, row.name, flow.seat))
        case _:
            choose_action(flow, find_action(row.name))


def other(flow: Flow, page: ListPage) -> Other | None:
    """Return what Tab does with what is selected, ``None`` for nothing."""
    row = page.current
    if row is None:
        return None
    if page.other is None and page.about is None and row.target in {"bottle", "proposal", "layout"}:
        return Other("all actions", lambda: show_actions(flow, row))
    if row.disabled:
        return None
    if row.target == "agent":
        return Other("start as configured", lambda: _start_as_configured(flow, page, row))
    return page.other


def _start_as_configured(flow: Flow, page: ListPage, row: Row) -> None:
    from bottlemux.palette.starting import start_with_defaults

    flow.remember(row)
    start_with_defaults(flow, row.name, page.prompt)


def show_actions(flow: Flow, row: Row) -> None:
    """Show everything that can be done with the bottle, proposal or layout of ``row``."""
    flow.push(ListPage(
        row.title if row.target == "proposal" else row.name,
        lambda _query: rows.action_rows(_subject(flow, row)),
        lambda chosen: begin(flow, find_action(chosen.name), _subject(flow, row)),
        about=row,
    ))  # fmt: skip


def choose_action(flow: Flow, action: Action) -> None:
    """Do an action of the whole workspace, or show what another one can be done with."""
    from bottlemux.palette.starting import choose_options

    match action.kind:
        case "workspace":
            begin(flow, action, Subject("workspace", seat=flow.seat))
        case "agent":
            page = ListPage(action.label, lambda _query: rows.agent_rows(flow.facts), lambda row: choose_options(
                flow, row.name, page.prompt), flow.recent)  # fmt: skip
            flow.push(page)
        case "proposal":
            flow.push(ListPage("what agents ask for", lambda _query: rows.proposal_rows(flow.facts),
                               lambda row: show_actions(flow, row), empty="no agent asks for anything"))  # fmt: skip
        case "layout":
            flow.push(ListPage(action.label, lambda _query: rows.layout_choice_rows(flow.facts, action, flow.seat),
                               lambda row: begin(flow, action, _subject(flow, row)), flow.recent))  # fmt: skip
        case "bottle" if action.several:
            _mark_bottles(flow, action)
        case "bottle":
            flow.push(ListPage(action.label, lambda _query: rows.bottle_choice_rows(flow.facts, action),
                               lambda row: begin(flow, action, flow.bottle(row.name)), flow.recent,
                               empty=_NO_BOTTLE))  # fmt: skip


def choose_window(flow: Flow, title: str, action: Action, subject: Subject) -> None:
    """Do ``action``, which is for the window of one bottle, once it was chosen."""
    flow.push(ListPage(
        f"{title} / bottle",
        lambda _query: rows.bottle_choice_rows(flow.facts, find_action("go")),
        lambda row: flow.do(action, subject._replace(names=(row.name,))),
        empty=_NO_BOTTLE,
    ))  # fmt: skip


def _mark_bottles(flow: Flow, action: Action) -> None:
    front = flow.seat.slug if flow.seat is not None else ""
    page = MarkPage(
        action.label,
        lambda _query: rows.bottle_choice_rows(flow.facts, action, front),
        lambda _row: begin(flow, action, flow.bottles([row.name for row in page.chosen])),
        empty=_NO_BOTTLE,
    )
    page.other = Other("mark", page.mark)
    flow.push(page)


def begin(flow: Flow, action: Action, subject: Subject) -> None:
    """Do ``action``, once what it wants typed has been typed."""
    typed = action.typed
    if typed is None:
        flow.do(action, subject)
        return
    flow.push(ListPage(
        f"{action.label} / {typed.label}",
        lambda query: rows.typed_rows(typed, query),
        lambda row: flow.do(action, subject._replace(typed=row.name)),
        about=_about(subject),
        free=True,
    ))  # fmt: skip


def _about(subject: Subject) -> Row | None:
    return Row(subject.kind, subject.name, "") if subject.name and subject.kind != "workspace" else None


def _subject(flow: Flow, row: Row) -> Subject:
    if row.target == "bottle":
        return flow.bottle(row.name)
    if row.target == "proposal":
        return Subject("proposal", row.name, seat=flow.seat)
    return rows.layout_subject(flow.facts, row.name, flow.seat)
