"""An agent's conversation is found again, whatever ended it."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.e2e.fake_api import Text
from tests.e2e.test_claude import TOKEN, conversation, last_turn, start, submit
from tests.e2e.world import kill, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.fake_api import FakeApi
    from tests.e2e.world import World

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux, pytest.mark.claude]


def transcripts(world: World, slug: str) -> Path:
    return world.bottle(slug) / "home" / ".claude" / "projects" / "-workspace"


def talk(world: World, api: FakeApi, slug: str, prompt: str, answer: str) -> None:
    """Say ``prompt`` and wait until the ``answer`` is shown and written down."""
    api.script([Text(answer)])
    submit(world, slug, prompt)
    world.wait_for_text(slug, answer)
    until(lambda: answer in conversation(world, slug), "the conversation on disk")


def begin(world: World, api: FakeApi, answer: str = "My first answer.") -> str:
    api.script([Text(answer)])
    slug = start(world, "first task")
    world.wait_for_text(slug, answer)
    until(lambda: answer in conversation(world, slug), "the conversation on disk")
    return slug


def said(api: FakeApi, count: int) -> str:
    return "\n".join(last_turn(api, count).texts("user"))


def test_the_conversation_has_the_recorded_id(claude: World, api: FakeApi) -> None:
    slug = begin(claude, api)
    recorded = re.search(r'"session_id": "(.*)"', (claude.bottle(slug) / "metadata.json").read_text())
    assert recorded is not None
    assert [path.stem for path in transcripts(claude, slug).glob("*.jsonl")] == [recorded[1]]


def test_resume_follows_clear_and_no_other_claude(claude: World, api: FakeApi) -> None:
    slug = begin(claude, api)
    submit(claude, slug, "/clear")
    until(lambda: len(list(transcripts(claude, slug).glob("*.jsonl"))) == 2, "another conversation")
    talk(claude, api, slug, "second task", "My second answer.")
    assert claude.run("exec", slug, "--", "claude", "-p", "a question beside it").strip() == "Done."
    claude.run("stop", slug)

    claude.run("resume", slug, "--detach", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    claude.wait_for_text(slug, "My second answer.")
    talk(claude, api, slug, "third task", "My third answer.")
    heard = said(api, 4)
    assert "second task" in heard
    assert "first task" not in heard
    assert "a question beside it" not in heard


def test_everything_killed_at_once(claude: World, api: FakeApi) -> None:
    slug = begin(claude, api)
    kill(process.pid for process in claude.own_processes())
    kill(process.pid for process in claude.own_processes())
    claude.run("resume", slug, "--detach", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    claude.wait_for_text(slug, "My first answer.")
    talk(claude, api, slug, "second task", "My second answer.")
    assert "first task" in said(api, 2)


def test_lost_home_gets_its_conversation_back(claude: World, api: FakeApi) -> None:
    slug = begin(claude, api)
    claude.run("stop", slug)
    shutil.rmtree(claude.bottle(slug) / "home")
    claude.run("resume", slug, "--detach", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    claude.wait_for_text(slug, "My first answer.")
    talk(claude, api, slug, "second task", "My second answer.")
    assert "first task" in said(api, 2)


def test_a_conversation_that_is_gone_is_said_to_be(claude: World, api: FakeApi) -> None:
    slug = begin(claude, api)
    claude.run("stop", slug)
    claude.run("resume", slug, "--detach", CLAUDE_CODE_OAUTH_TOKEN=TOKEN)
    claude.wait_for_text(slug, "My first answer.")
    pane = claude.pane_id(slug)
    for path in transcripts(claude, slug).glob("*.jsonl"):
        path.unlink()
    claude.tmux("respawn-pane", "-k", "-t", pane)
    claude.wait_for_text(slug, "the conversation could not be continued; starting a fresh one")
    assert last_turn(api, 2).texts("user")[-1] == "first task"
