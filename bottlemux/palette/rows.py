"""The rows of the palette's lists, made from what is known at the moment.

They are named tuples: hundreds are made at a time, and their classes cost nothing at start-up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from bottlemux.actions.catalogue import actions_of, find_action
from bottlemux.actions.model import Subject
from bottlemux.palette.fuzzy import match

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bottlemux.actions.model import Action, Seat, Typed
    from bottlemux.palette.facts import Facts

type Target = Literal["agent", "bottle", "proposal", "layout", "action", "option"]

WORKSPACES = {
    "mount": "the directory itself",
    "clone": "a clone of its repository",
    "copy": "a copy of it",
}
_MARK_BY_STATE = {"working": "good", "waiting": "warn", "broken": "bad"}


class Row(NamedTuple):
    """One line of a list: an agent, bottle (by its slug), proposal, layout, action or option, by ``name``.

    ``disabled`` says why it cannot be chosen; ``mark`` is how its detail is coloured: good, warn, bad, nothing.
    """

    target: Target
    name: str
    title: str
    detail: str = ""
    disabled: str = ""
    mark: str = ""

    @property
    def key(self) -> str:
        """What names the row from one run to the next."""
        return f"{self.target}:{self.name}"


class Shown(NamedTuple):
    """A row in a filtered list, with the positions of the matching letters in its title."""

    row: Row
    positions: tuple[int, ...] = ()


def main_rows(facts: Facts, seat: Seat | None = None) -> list[Row]:
    """Return open proposals, running bottles, agents, ended bottles, layouts and actions, in this order."""
    active = [slug for slug, alive in facts.alive.items() if alive]
    ended = [slug for slug, alive in facts.alive.items() if not alive]
    return [
        *proposal_rows(facts),
        *(_bottle_row(facts, slug) for slug in active),
        *agent_rows(facts),
        *(_bottle_row(facts, slug) for slug in ended),
        *layout_choice_rows(facts, find_action("apply-layout"), seat),
        *(_workspace_row(action, seat) for action in actions_of("workspace") if action.in_lists),
        *(_proposals_row(facts, action) for action in actions_of("proposal")),
        *(
            _layouts_row(facts, action, seat)
            for action in actions_of("layout")
            if action.name != "apply-layout"
        ),
        *(_bottles_row(facts, action, seat) for action in actions_of("bottle")),
    ]


def proposal_rows(facts: Facts) -> list[Row]:
    """Return a row for each thing that an agent asks for."""
    return [
        Row("proposal", item.id, f"decide {item.slug}", item.asks, mark="warn") for item in facts.proposals
    ]


def layout_choice_rows(facts: Facts, action: Action, seat: Seat | None) -> list[Row]:
    """Return a row for each layout to do ``action`` with."""
    return [
        Row(
            "layout", name, f"{action.title} {name}", "layout",
            disabled=action.applies(layout_subject(facts, name, seat)) or "",
        )
        for name in facts.layouts
    ]  # fmt: skip


def layout_subject(facts: Facts, name: str, seat: Seat | None) -> Subject:
    """Return the layout ``name`` as a subject of actions."""
    return Subject("layout", name, alive=any(facts.alive.values()), seat=seat, origin=facts.layouts.get(name))


def agent_rows(facts: Facts) -> list[Row]:
    """Return a row for each agent to start."""
    title = find_action("start").title
    blocked = facts.blocked
    if not facts.agents:
        return [
            Row(
                "agent",
                "",
                f"{title} ...",
                disabled=facts.trouble or "no agent yet: bottlemux init makes one",
            )
        ]
    return [Row("agent", name, f"{title} {name}", "a new bottle", disabled=blocked) for name in facts.agents]


def subject_of(facts: Facts, slug: str, seat: Seat | None = None) -> Subject:
    """Return the bottle ``slug`` as a subject of actions."""
    return Subject("bottle", slug, alive=facts.alive.get(slug), seat=seat)


def _bottle_row(facts: Facts, slug: str) -> Row:
    alive = bool(facts.alive.get(slug))
    action = find_action("go" if alive else "resume")
    status = facts.statuses.get(slug)
    state = status.state if status else ("running" if alive else "ended")
    detail = f"{state}  {status.backend}" if status else state
    return Row("bottle", slug, f"{action.title} {slug}", detail, mark=_MARK_BY_STATE.get(state, ""))


def _workspace_row(action: Action, seat: Seat | None) -> Row:
    reason = action.applies(Subject("workspace", seat=seat)) or ""
    return Row("action", action.name, action.title, action.help, disabled=reason)


def _bottles_row(facts: Facts, action: Action, seat: Seat | None) -> Row:
    disabled = "there is no bottle"
    for slug in facts.alive:
        disabled = action.applies(subject_of(facts, slug, seat)) or ""
        if not disabled:
            break
    return Row("action", action.name, f"{action.title} ...", action.help, disabled=disabled)


def _proposals_row(facts: Facts, action: Action) -> Row:
    disabled = "" if facts.proposals else "no agent asks for anything"
    return Row("action", action.name, f"{action.title} ...", action.help, disabled=disabled)


def _layouts_row(facts: Facts, action: Action, seat: Seat | None) -> Row:
    reasons = [row.disabled for row in layout_choice_rows(facts, action, seat)]
    disabled = min(reasons, default="there is no layout")  # the empty one, if there is one
    return Row("action", action.name, f"{action.title} ...", action.help, disabled=disabled)


def action_rows(subject: Subject) -> list[Row]:
    """Return what can be done with one bottle, proposal or layout."""
    return [
        Row("action", action.name, action.label, action.help, disabled=action.applies(subject) or "")
        for action in actions_of(subject.kind)
    ]


def bottle_choice_rows(facts: Facts, action: Action, front: str = "") -> list[Row]:
    """Return the bottles to do ``action`` with: those it applies to first, of these the one in ``front``."""
    rows = [
        Row("bottle", slug, slug, _state(facts, slug), disabled=action.applies(subject_of(facts, slug)) or "")
        for slug in facts.alive
    ]
    return sorted(rows, key=lambda row: (bool(row.disabled), row.name != front))


def _state(facts: Facts, slug: str) -> str:
    status = facts.statuses.get(slug)
    return status.state if status else ("running" if facts.alive.get(slug) else "ended")


def directory_rows(facts: Facts, query: str) -> list[Row]:
    """Return the directories to choose from, and the one that is being typed."""
    known = [Row("option", name, name) for name in facts.directories]
    typed = query.strip()
    if typed.startswith(("/", "~")) and typed not in facts.directories:
        return [Row("option", typed, typed, "another directory"), *known]
    return known


def typed_rows(typed: Typed, query: str) -> list[Row]:
    """Return the one row that stands for what is being typed."""
    if query.strip():
        return [Row("option", query.strip(), query.strip())]
    if typed.optional:
        return [Row("option", "", "(nothing)", f"or type the {typed.label}")]
    return [Row("option", "", "...", disabled=f"type the {typed.label}")]


def backend_rows(facts: Facts) -> list[Row]:
    """Return the backends to choose from; one that has not answered yet can be chosen all the same."""
    rows = [Row("option", "", "as configured", "manifest, environment and config.toml decide")]
    for name, known in facts.backends.items():
        if known is None:
            rows.append(Row("option", name, name, "still looking"))
        else:
            reason = "" if known.available else known.reason or "not available"
            rows.append(Row("option", name, name, "available" if known.available else "", disabled=reason))
    return rows


def workspace_rows(workspaces: Sequence[str]) -> list[Row]:
    """Return how the project directory can get into the bottle."""
    default = Row("option", "", "as configured", "the agent's manifest decides")
    return [default, *(Row("option", name, name, WORKSPACES.get(name, "")) for name in workspaces)]


def layout_rows(facts: Facts) -> list[Row]:
    """Return the layouts to choose from."""
    default = Row("option", "", "as configured", "the agent's manifest decides")
    return [default, *(Row("option", name, name) for name in facts.layouts)]


def arrange(rows: Iterable[Row], query: str, recent: Sequence[str]) -> list[Shown]:
    """Return the rows that match ``query``, the best first; among equals, and without a query, recent ones.

    What cannot be chosen comes behind its equals that can.
    """
    recency = {key: index for index, key in enumerate(recent)}
    found: list[tuple[int, bool, int, Shown]] = []
    for row in rows:
        matched = match(query, row.title)
        if matched is not None:
            last = recency.get(row.key, len(recency))
            found.append((-matched[0], bool(row.disabled), last, Shown(row, matched[1])))
    found.sort(key=lambda item: item[:3])
    return [item[3] for item in found]
