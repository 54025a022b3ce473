from __future__ import annotations

import re

import pytest

from bottlemux.actions.catalogue import CATALOGUE, actions_of, find_action
from bottlemux.actions.model import Subject
from bottlemux.errors import NotFoundError


def test_names_and_keys_are_unique() -> None:
    names = [action.name for action in CATALOGUE]
    keys = [key for action in CATALOGUE for key in action.keys]
    assert len(set(names)) == len(names)
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("action", CATALOGUE, ids=lambda action: action.name)
def test_every_action_says_what_it_does(action: object) -> None:
    found = find_action(str(getattr(action, "name", "")))
    assert found is action
    assert re.fullmatch(r"[a-z-]+", found.name)
    assert re.fullmatch(r"[A-Z].*\.", found.help)


def test_an_unknown_action_lists_the_known() -> None:
    with pytest.raises(NotFoundError, match=r"no action 'sotp'.*approve"):
        find_action("sotp")


@pytest.mark.parametrize(
    ("alive", "possible"),
    [
        pytest.param(
            True,
            {
                "go",
                "resume",
                "shell",
                "prompt",
                "audit",
                "diff",
                "fetch",
                "logs",
                "bottle-status",
                "zoom",
                "copy",
                "restart",
                "stop",
            },
            id="running",
        ),
        pytest.param(False, {"resume", "audit", "diff", "fetch", "logs", "bottle-status", "rm"}, id="ended"),
        pytest.param(
            None, {"resume", "audit", "diff", "fetch", "logs", "bottle-status"}, id="not-looked-at-yet"
        ),
    ],
)
def test_what_applies_to_a_bottle(alive: bool | None, possible: set[str]) -> None:
    subject = Subject("bottle", "demo-00001", alive=alive)
    assert {action.name for action in actions_of("bottle") if action.applies(subject) is None} == possible


def test_nothing_starts_where_no_backend_works() -> None:
    assert find_action("start").applies(Subject("agent", "demo", blocked="no backend")) == "no backend"
    assert find_action("start").applies(Subject("agent", "demo")) is None
