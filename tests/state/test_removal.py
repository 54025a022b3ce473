"""Trees that an agent filled to disturb whoever removes them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bottlemux.errors import BottlemuxError
from bottlemux.state.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65534


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that an ordinary user owns and can reach, also when the tests run as root."""
    directory = Path(tempfile.mkdtemp())
    if os.geteuid() == 0:
        os.chown(directory, NOBODY, NOBODY)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def as_user(action: Callable[[], None]) -> int:
    """Run ``action`` in a child without root's powers; return its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            action()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_missing_tree_is_fine(tmp_path: Path) -> None:
    remove_tree(tmp_path / "none")


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_text("x")
    tree = tmp_path / "tree"
    (tree / "home").mkdir(parents=True)
    (tree / "home" / "link").symlink_to(outside)
    (tree / "link").symlink_to(outside / "keep")
    (tree / "dangling").symlink_to("/no/such/file")

    remove_tree(tree)

    assert not tree.exists()
    assert (outside / "keep").read_text() == "x"
    assert oct(outside.stat().st_mode & 0o777) == oct(0o755)


def test_a_link_as_the_tree_itself_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_text("x")
    (tmp_path / "tree").symlink_to(outside)

    with pytest.raises(BottlemuxError, match="cannot remove"):
        remove_tree(tmp_path / "tree")

    assert (outside / "keep").exists()


def test_directories_without_permissions(place: Path) -> None:
    tree = place / "tree"

    def fill_and_remove() -> None:
        (tree / "a" / "b" / "c").mkdir(parents=True)
        (tree / "a" / "b" / "file").write_text("x")
        for directory in (tree / "a" / "b" / "c", tree / "a" / "b", tree / "a", tree):
            directory.chmod(0)
        remove_tree(tree)

    assert as_user(fill_and_remove) == 0
    assert not tree.exists()


def test_any_depth_with_few_open_files(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    here = os.open(tree, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d" * 50, dir_fd=here)
        deeper = os.open("d" * 50, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)

    remove_tree(tree)

    assert not tree.exists()


def test_odd_names_and_kinds(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    for name in (b"-rf", b"new\nline", b"\xff\xfe", b"..."):
        (tree / os.fsdecode(name)).write_text("x")
        (tree / "sub" / os.fsdecode(name)).mkdir()
    os.mkfifo(tree / "pipe")

    remove_tree(tree)

    assert not tree.exists()


def test_what_cannot_be_removed_is_said(place: Path) -> None:
    tree = place / "tree"
    (tree / "sub").mkdir(parents=True)
    if os.geteuid() != 0:
        pytest.skip("another owner's directory needs root to make")

    def remove() -> None:
        with pytest.raises(BottlemuxError, match="cannot remove"):
            remove_tree(tree)

    assert as_user(remove) == 0
    assert (tree / "sub").is_dir()
