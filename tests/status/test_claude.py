"""Real Claude Code in a bottle: its hooks reach the window's name, and nothing sticks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from bottlemux.lifecycle.watching import Watcher
from tests.e2e.fake_api import Text, ToolUse
from tests.e2e.world import until
from tests.status.record import QUESTION
from tests.status.test_watching import context_of, window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.fake_api import FakeApi
    from tests.e2e.world import World

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux, pytest.mark.claude]


@pytest.fixture
def watched(claude: World) -> Iterator[World]:
    stop = threading.Event()
    thread = threading.Thread(target=Watcher(context_of(claude)).watch, args=(stop,))
    thread.start()
    yield claude
    stop.set()
    thread.join(20)


def shows(world: World, slug: str, mark: str) -> None:
    until(lambda: window(world, slug, "window_name").startswith(mark), f"the mark {mark}")


def start(world: World, *words: str) -> str:
    return world.start("coder", "--prompt=begin", *words, CLAUDE_CODE_OAUTH_TOKEN="sk-ant-oat01-placeholder")


def test_a_permission_is_waited_for_given_and_used(watched: World, api: FakeApi) -> None:
    api.script([ToolUse("Bash", {"command": "touch made && sleep 12", "description": "wait"}), Text("Made.")])
    slug = start(watched, "--", "--permission-mode", "default")
    watched.wait_for_text(slug, "Do you want to proceed?")
    shows(watched, slug, "?")
    row = watched.status(slug)
    assert (row["state"], row["source"]) == ("waiting", "program")
    assert row["reason"] == "asks for permission to use Bash"
    watched.tmux("send-keys", "-t", watched.pane_id(slug), "Enter")
    # Claude Code says nothing between the answer and the tool's end.
    shows(watched, slug, "»")
    assert '"PermissionRequest"' in (watched.bottle(slug) / "activity.json").read_text()
    shows(watched, slug, "✓")
    assert (watched.project / "made").exists()
    row = watched.status(slug)
    assert (row["state"], row["reason"], row["source"]) == ("finished", "its turn ended", "program")


def test_a_question_is_waited_for_and_dismissed(watched: World, api: FakeApi) -> None:
    api.script([ToolUse("AskUserQuestion", QUESTION)])
    slug = start(watched)
    watched.wait_for_text(slug, "Which one?")
    shows(watched, slug, "?")
    assert watched.status(slug)["reason"] == "asks a question"
    watched.tmux("send-keys", "-t", watched.pane_id(slug), "Escape")
    until(lambda: watched.status(slug)["state"] == "idle", "idle after Esc")


def test_the_hooks_are_out_of_the_agents_reach(watched: World, api: FakeApi) -> None:
    command = (
        "cd /run/bottlemux; for f in hooks.json lib/report.py lib/python3; do rm -f $f; echo x > $f; done"
    )
    api.script([ToolUse("Bash", {"command": command, "description": "x"})])
    slug = start(watched)
    shows(watched, slug, "✓")
    guest = watched.bottle(slug) / "guest"
    assert '"hooks"' in (guest / "hooks.json").read_text()
    assert "supervise" in (guest / "lib" / "report.py").read_text()
