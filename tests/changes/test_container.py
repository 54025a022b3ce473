"""The same looks at an agent's files on a machine that has an engine and no bubblewrap."""

from __future__ import annotations

import shutil

import pytest

from tests.changes.test_changes import (
    test_a_copy_of_a_directory_without_history,
    test_committed_uncommitted_new_and_deleted,
    test_fetch_makes_a_branch_and_touches_no_file,
)
from tests.changes.test_hostile import (
    test_a_link_in_place_of_the_repository_reaches_nothing,
    test_links_and_alternates_show_no_file_of_the_host,
    test_nothing_runs_on_the_host,
)

__all__ = [
    "test_a_copy_of_a_directory_without_history",
    "test_a_link_in_place_of_the_repository_reaches_nothing",
    "test_committed_uncommitted_new_and_deleted",
    "test_fetch_makes_a_branch_and_touches_no_file",
    "test_links_and_alternates_show_no_file_of_the_host",
    "test_nothing_runs_on_the_host",
]

pytestmark = pytest.mark.docker


@pytest.fixture(autouse=True)
def no_bubblewrap(monkeypatch: pytest.MonkeyPatch) -> None:
    find = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name, **options: None if name == "bwrap" else find(name, **options)
    )
