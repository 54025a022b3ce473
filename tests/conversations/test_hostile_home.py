"""A home directory is its agent's: whatever is in it, the host reads its conversation and nothing else."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from backends.guest import kept_conversation
from backends.presets.claude import CLAUDE
from bottlemux.lifecycle import conversations
from bottlemux.paths import BottlePaths
from sidecars.supervise.activity import Activity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLACE = ".claude/projects/-workspace"
TALK = b'{"type":"user","entrypoint":"cli"}\n'
FIRST, SECOND, OTHER = (f"{digit * 8}-1111-4111-8111-111111111111" for digit in "123")


@pytest.fixture
def files(tmp_path: Path) -> BottlePaths:
    made = BottlePaths(state=tmp_path / "state", runtime=tmp_path / "run")
    (made.home / PLACE).mkdir(parents=True)
    return made


def write(files: BottlePaths, session_id: str, content: bytes = TALK, age: int = 0) -> Path:
    path = files.home / PLACE / f"{session_id}.jsonl"
    path.write_bytes(content)
    os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))
    return path


def report(files: BottlePaths, session: str) -> None:
    activity = Activity("working", "works", 1.0, 1.0, session=session)
    files.activity.write_text(json.dumps(activity.to_json()))


def found(files: BottlePaths, reported: str = "") -> str | None:
    report(files, reported)
    conversation = conversations.current(files)
    return conversation.session_id if conversation else None


def copies(files: BottlePaths) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in kept_conversation(files, CLAUDE).items()}


def test_the_one_that_was_typed_in_last(files: BottlePaths) -> None:
    write(files, FIRST, age=5)
    write(files, SECOND, age=1)
    write(files, OTHER, b'{"type":"user","entrypoint":"sdk-cli"}\n')
    assert found(files) == SECOND
    assert found(files, FIRST) == FIRST
    assert found(files, OTHER) == SECOND, "nobody typed in the one that was reported"


@pytest.mark.parametrize(
    "reported",
    [OTHER, "", "../beside", "../../../etc/passwd", "-", "--dangerous", f"{FIRST}\n", f"{FIRST}/../{SECOND}",
     FIRST.upper() + "x"],
)  # fmt: skip
def test_forged_id_changes_nothing(files: BottlePaths, reported: str) -> None:
    write(files, FIRST)
    (files.home / PLACE).with_name("beside.jsonl").write_bytes(TALK)
    assert found(files, reported) == FIRST


def _link(path: Path) -> None:
    secret = path.parents[4] / "secret"
    secret.write_bytes(TALK + b"the operator's")
    path.symlink_to(secret)


def _hard_directory(path: Path) -> None:
    path.mkdir()


def _linked_directory(path: Path) -> None:
    elsewhere = path.parents[4] / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / path.name).write_bytes(TALK)
    path.parent.rmdir()
    path.parent.symlink_to(elsewhere)


def _linked_above(path: Path) -> None:
    elsewhere = path.parents[4] / "elsewhere" / "projects" / "-workspace"
    elsewhere.mkdir(parents=True)
    (elsewhere / path.name).write_bytes(TALK)
    path.parent.rmdir()
    path.parents[1].rmdir()
    path.parents[2].rmdir()
    path.parents[2].symlink_to(elsewhere.parents[1])


def _fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("plant", [_link, _fifo, _hard_directory, _linked_directory, _linked_above])
def test_what_is_no_file_of_the_home(files: BottlePaths, plant: Callable[[Path], None]) -> None:
    plant(files.home / PLACE / f"{FIRST}.jsonl")
    assert found(files) is None
    assert found(files, FIRST) is None
    assert conversations.keep(files) is None
    assert copies(files) == {}


def test_a_file_without_an_end_is_not_copied(files: BottlePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "MAX_COPIED_BYTES", 4 << 20)
    write(files, FIRST)
    conversations.keep(files)
    write(files, SECOND, TALK + bytes(5 << 20), age=-5)
    assert conversations.keep(files) is not None
    assert copies(files) == {f"{PLACE}/{FIRST}.jsonl": TALK}
    assert [path.name for path in files.transcripts.iterdir()] == [f"{FIRST}.jsonl"]


def test_the_copy_is_the_newest_and_private(files: BottlePaths) -> None:
    write(files, FIRST, age=5)
    conversations.keep(files)
    write(files, SECOND)
    conversations.keep(files)
    assert copies(files) == {f"{PLACE}/{SECOND}.jsonl": TALK}
    (copy,) = files.transcripts.iterdir()
    assert (copy.stat().st_mode & 0o777, files.transcripts.stat().st_mode & 0o777) == (0o600, 0o700)


def test_many_names_end(files: BottlePaths) -> None:
    for number in range(200):
        (files.home / PLACE / f"{number:08x}-0000-4000-8000-000000000000.jsonl").write_bytes(b"")
    assert found(files) is None


@pytest.mark.parametrize(
    ("link", "reported", "continued"),
    [
        ({"pid": 4711, "start": 1}, SECOND, SECOND),
        ({"pid": 4711, "start": 1}, "", ""),
        ({"pid": 4711, "start": 1}, "../../../x", ""),
        ({"pid": 4711, "start": 1}, "--help", ""),
        ({"pid": 0, "start": 1}, SECOND, FIRST),
        ({}, SECOND, FIRST),
    ],
    ids=["elsewhere", "nothing reported", "a path", "an option", "no more elsewhere", "here"],
)
def test_one_elsewhere_goes_on_with_what_was_reported(
    files: BottlePaths, link: dict[str, int], reported: str, continued: str
) -> None:
    """Its home is there: what is here may be of the time before."""
    write(files, FIRST)
    report(files, reported)
    files.link.write_text(json.dumps(link))
    assert conversations.to_continue(files) == continued
