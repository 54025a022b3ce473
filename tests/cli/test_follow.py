"""Following files that grow, are replaced and cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.cli.follow import Tail

if TYPE_CHECKING:
    from pathlib import Path


def append(file: Path, text: str) -> None:
    with file.open("a") as stream:
        stream.write(text)


def test_a_line_comes_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "log"
    tail = Tail(file)
    assert tail.new_lines() == []
    append(file, "one\ntw")
    assert tail.new_lines() == ["one"]
    append(file, "o\n")
    assert tail.new_lines() == ["two"]


def test_nothing_is_lost_of_a_file_that_was_replaced(tmp_path: Path) -> None:
    file = tmp_path / "log"
    append(file, "one\n")
    tail = Tail(file)
    assert tail.new_lines() == ["one"]
    append(file, "two\nhalf")
    file.replace(tmp_path / "log.1")
    append(file, "three\n")
    assert tail.new_lines() == ["two", "three"]
    append(file, "four\n")
    assert tail.new_lines() == ["four"]


def test_one_that_was_emptied_is_read_from_its_beginning(tmp_path: Path) -> None:
    file = tmp_path / "log"
    append(file, "one\ntwo\n")
    tail = Tail(file)
    assert tail.new_lines() == ["one", "two"]
    file.write_text("new\n")
    assert tail.new_lines() == ["new"]
