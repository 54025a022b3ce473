"""The same of Claude Code in a Docker bottle: its hooks reach the window's name there too."""

from __future__ import annotations

import pytest

from tests.e2e.test_claude_docker import api, claude
from tests.status.test_claude import (
    test_a_question_is_waited_for_and_dismissed,
    test_the_hooks_are_out_of_the_agents_reach,
    watched,
)

__all__ = [
    "api",
    "claude",
    "test_a_question_is_waited_for_and_dismissed",
    "test_the_hooks_are_out_of_the_agents_reach",
    "watched",
]

pytestmark = [pytest.mark.docker, pytest.mark.tmux, pytest.mark.claude]
