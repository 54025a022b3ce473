"""What an agent changed is shown, and its commits come into the repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bottlemux.errors import BottlemuxError, UsageError
from bottlemux.lifecycle.changes import Review, comparison, fetch
from tests.changes.conftest import Place, git

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.bwrap


def shown(place: Place, *options: str) -> str:
    with Review(comparison(place.context, place.record)) as review:
        return review.diff(*options).decode()


def test_nothing_changed_is_empty(place: Place) -> None:
    assert shown(place) == ""


def test_committed_uncommitted_new_and_deleted(place: Place) -> None:
    place.commit("committed.txt", "c\n")
    (place.work / "new.txt").write_text("n\n")
    (place.work / "file.txt").unlink()
    text = shown(place)
    assert "+c" in text.splitlines()
    assert "+n" in text.splitlines()
    assert "-two" in text.splitlines()
    assert "3 files changed" in shown(place, "--stat")


def test_a_second_look_sees_what_came_since(place: Place) -> None:
    before = (place.work / "file.txt").read_bytes()
    with Review(comparison(place.context, place.record)) as review:
        (place.work / "new.txt").write_text("n\n")
        assert b"+n\n" in review.diff()
        assert b"+n\n" in review.diff()
        (place.work / "new.txt").write_text("m\n")
        (place.work / "file.txt").write_text("changed\n")
        assert {b"+m", b"+changed"} <= set(review.diff().splitlines())
        (place.work / "file.txt").write_bytes(before)
        (place.work / "new.txt").unlink()
        assert review.diff() == b""


def test_a_copy_of_a_directory_without_history(make_place: Callable[..., Place], tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "file.txt").write_text("one\n")
    place = make_place(plain, "copy")
    assert shown(place) == ""
    (place.work / "file.txt").write_text("two\n")
    assert "+two" in shown(place).splitlines()


@pytest.mark.parametrize("workspace", ["mount", "copy"])
def test_other_workspaces_of_a_repository(
    make_place: Callable[..., Place], project: Path, workspace: str
) -> None:
    place = make_place(project, workspace)
    (place.work / "file.txt").write_text("one\nthree\n")
    assert {"-two", "+three"} <= set(shown(place).splitlines())


def test_a_raw_patch_applies(make_place: Callable[..., Place], project: Path) -> None:
    place = make_place(project, "copy")
    (place.work / "file.txt").write_text("one\nthree\n")
    (place.work / "binary").write_bytes(bytes(range(256)))
    with Review(comparison(place.context, place.record)) as review:
        patch = project.parent / "changes.patch"
        patch.write_bytes(review.diff("--binary"))
    git(project, "apply", str(patch))
    assert (project / "file.txt").read_text() == "one\nthree\n"
    assert (project / "binary").read_bytes() == bytes(range(256))


def test_fetch_makes_a_branch_and_touches_no_file(place: Place) -> None:
    (place.project / "file.txt").write_text("unsaved work\n")
    tip = place.commit("file.txt", "agent's\n")
    fetched = fetch(place.context, place.record)
    assert (fetched.branch, fetched.commit) == (f"bottlemux/{place.record.identity}", tip)
    assert [line.split(" ", 1)[1] for line in fetched.commits] == ["change file.txt"]
    assert git(place.project, "rev-parse", fetched.branch) == tip
    assert (place.project / "file.txt").read_text() == "unsaved work\n"
    assert git(place.project, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert not (place.project / ".git" / "FETCH_HEAD").exists()
    assert fetch(place.context, place.record).commits == ()


def test_fetch_replaces_other_commits_only_when_forced(place: Place) -> None:
    place.commit("file.txt", "agent's\n")
    fetch(place.context, place.record)
    git(place.work, "commit", "-q", "--amend", "-m", "rewritten")
    with pytest.raises(BottlemuxError, match="has commits that the agent's branch does not have") as caught:
        fetch(place.context, place.record)
    assert "--force" in caught.value.hint
    assert fetch(place.context, place.record, force=True).commit == git(place.work, "rev-parse", "HEAD")


def test_a_branch_that_is_checked_out_stays(place: Place) -> None:
    place.commit("file.txt", "agent's\n")
    fetched = fetch(place.context, place.record)
    git(place.project, "checkout", "-q", fetched.branch)
    place.commit("file.txt", "more\n")
    with pytest.raises(BottlemuxError, match="is checked out"):
        fetch(place.context, place.record, force=True)
    assert (place.project / "file.txt").read_text() == "agent's\n"


@pytest.mark.parametrize(("workspace", "hint"), [("copy", "git apply"), ("mount", "bottlemux diff")])
def test_only_a_clone_has_a_branch(
    make_place: Callable[..., Place], project: Path, workspace: str, hint: str
) -> None:
    place = make_place(project, workspace)
    with pytest.raises(UsageError) as caught:
        fetch(place.context, place.record)
    assert hint in caught.value.hint
