"""The same of Claude Code in a Docker bottle: its image's Claude Code, against the same Messages API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backends.docker.containers import ensure_outside
from backends.docker.endpoint import find_endpoint
from backends.docker.engine import Engine
from backends.docker.names import OUTSIDE_NETWORK
from tests.e2e.conftest import with_coder
from tests.e2e.fake_api import FakeApi
from tests.e2e.test_claude import (
    test_answers_in_its_pane_and_with_p,
    test_killed_agent_comes_back_in_its_pane,
    test_project_files_raise_no_question,
    test_prompts_arrive_as_typed,
    test_resume_continues_the_conversation,
    test_tools_run_without_a_question,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.world import World

__all__ = [
    "test_answers_in_its_pane_and_with_p",
    "test_killed_agent_comes_back_in_its_pane",
    "test_project_files_raise_no_question",
    "test_prompts_arrive_as_typed",
    "test_resume_continues_the_conversation",
    "test_tools_run_without_a_question",
]

pytestmark = [pytest.mark.docker, pytest.mark.tmux, pytest.mark.claude]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeApi]:
    """Listen where the sidecars' containers see this machine."""
    engine = Engine(find_endpoint())
    ensure_outside(engine)
    network = engine.api.inspect_network(OUTSIDE_NETWORK)
    server = FakeApi(tmp_path, network["IPAM"]["Config"][0]["Gateway"])
    yield server
    server.close()


@pytest.fixture
def claude(world: World, api: FakeApi) -> World:
    world.use_engine()
    return with_coder(world, api, "docker")
