"""Names of windows: composed, taken apart again, and kept when the user changed them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bottlemux.session.models import WindowInfo
from bottlemux.session.naming import MARKS, Naming, rename_commands
from tests.session.conftest import spec

if TYPE_CHECKING:
    from bottlemux.session.workspace import Workspace

_SLUG = "dev-00001"


def window(name: str) -> WindowInfo:
    return WindowInfo("@1", "bottlemux", name, _SLUG, "dev", "b", "idle", 0, "", (), "/home/me/library")


@pytest.mark.parametrize(
    ("form", "state", "count", "expected"),
    [
        ("{mark}{count} {name}", "idle", 0, "dev-00001"),
        ("{mark}{count} {name}", "waiting", 2, "?2 dev-00001"),
        ("{name} {mark}", "finished", 0, "dev-00001 ✓"),
        ("{directory}/{agent}: {state}", "working", 0, "library/dev: working"),
        ("", "idle", 0, "dev-00001"),
    ],
)
def test_composed(form: str, state: str, count: int, expected: str) -> None:
    assert Naming(form).title(window(_SLUG), state, count) == expected


@pytest.mark.parametrize(
    "form", ["{mark}{count} {name}", "{name} [{mark}{count}]", "{directory}: {mark} {name}"]
)
def test_a_name_stays_what_the_user_made_it(form: str) -> None:
    naming = Naming(form, {"idle": "(.*)"})
    name = "my own name"
    for number, state in enumerate([*MARKS, "idle", "waiting"]):
        name = naming.title(window(name), state, number)
        assert naming.base(name) == "my own name"
        assert naming.base(naming.renamed(name, "another")) == "another"
        assert naming.renamed(naming.renamed(name, "another"), "my own name") == name


@pytest.mark.tmux
def test_a_name_is_never_run(workspace: Workspace) -> None:
    info = workspace.open_window(spec())
    title = Naming(marks={"idle": "#(touch /tmp/x)"}).title(info, "idle")
    workspace.server.batch(rename_commands(info, title))
    assert workspace.require(_SLUG).name == title
    assert rename_commands(workspace.require(_SLUG), title) == []
