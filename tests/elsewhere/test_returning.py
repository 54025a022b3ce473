"""What an agent's names and a broken stream can do to the directory that a working copy comes back to: nothing else."""

from __future__ import annotations

import io
import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from backends.docker import returning
from bottlemux.errors import BottlemuxError
from sidecars import porter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def stream(*entries: tarfile.TarInfo, listing: dict[str, object] | None = None) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        data = json.dumps(listing or {}).encode()
        first = tarfile.TarInfo(porter.LISTING)
        first.size = len(data)
        archive.addfile(first, io.BytesIO(data))
        for entry in entries:
            archive.addfile(entry, io.BytesIO(b"x" * entry.size))
    packed.seek(0)
    return packed


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, target, mode
    made.size = 3 if kind == tarfile.REGTYPE else 0
    made.pax_headers = {"bottlemux.mtime_ns": "1000000000"}
    return made


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def outside(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place.parent)) for path in place.parent.rglob("*"))


@pytest.mark.parametrize(
    "make",
    [
        lambda place: [entry("../outside/a")],
        lambda place: [entry(f"{place.parent}/outside/a")],
        lambda place: [entry("a/../../outside/a")],
        lambda place: [entry("")],
        lambda place: [entry("a", tarfile.CHRTYPE)],
        lambda place: [entry("a", tarfile.BLKTYPE)],
        lambda place: [entry("a", tarfile.FIFOTYPE)],
        lambda place: [entry("a", tarfile.LNKTYPE, "../outside/b")],
        lambda place: [entry("d", tarfile.SYMTYPE, str(place.parent / "outside")), entry("d/a")],
        lambda place: [
            entry("d", tarfile.SYMTYPE, str(place.parent / "outside")), entry("d/e", tarfile.DIRTYPE)
        ],
    ],
    ids=["above", "absolute", "above later", "no name", "device", "block device", "pipe", "hard link",
         "file through a link", "directory through a link"],
)  # fmt: skip
def test_nothing_is_made_outside(place: Path, make: Callable[[Path], list[tarfile.TarInfo]]) -> None:
    entries = make(place)
    with pytest.raises(BottlemuxError):
        returning.receive(stream(*entries), place)
    assert [name for name in outside(place) if not name.startswith("work/")] == ["outside", "work"]
    assert not [path for path in place.rglob("*") if not path.is_symlink()]


def test_a_link_that_was_here_is_replaced_not_followed(place: Path) -> None:
    (place.parent / "outside" / "a").write_text("mine")
    (place / "a").symlink_to(place.parent / "outside" / "a")
    (place / "d").symlink_to(place.parent / "outside")
    listing = {"a": ["f", 0o644, 3, 1000000000], "d": ["d", 0o755, 0, 0], "d/b": ["f", 0o644, 3, 1000000000]}
    entries = [entry("a"), entry("d", tarfile.DIRTYPE), entry("d/b")]
    returning.receive(stream(*entries, listing=listing), place)
    assert (place.parent / "outside" / "a").read_text() == "mine"
    assert (place / "a").read_text() == (place / "d" / "b").read_text() == "xxx"
    assert not (place / "d").is_symlink()
    assert not (place.parent / "outside" / "b").exists()


def test_no_bit_that_gives_rights_comes_along(place: Path) -> None:
    listing = {"a": ["f", 0o6755, 3, 1000000000], "d": ["d", 0o7000, 0, 0]}
    returning.receive(stream(entry("a", mode=0o6755), entry("d", tarfile.DIRTYPE), listing=listing), place)
    assert (place / "a").stat().st_mode & 0o7777 == 0o755
    assert (place / "d").stat().st_mode & 0o7777 == 0o700


def test_a_stream_that_is_cut_is_an_error(place: Path) -> None:
    whole = stream(entry("a")).getvalue()
    with pytest.raises(BottlemuxError, match="did not arrive whole"):
        returning.receive(io.BytesIO(whole[:700]), place)
    with pytest.raises(BottlemuxError, match="did not arrive whole"):
        returning.receive(io.BytesIO(b""), place)


def test_a_full_disk_is_said_before_it_is_full(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returning, "MIN_FREE_BYTES", 1 << 60)
    with pytest.raises(BottlemuxError, match="no room"):
        returning.receive(stream(entry("a")), place)


def test_what_the_porter_sends_arrives_and_only_once(place: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "d").mkdir(parents=True)
    (source / "d" / "a").write_bytes(b"1" * 5000)
    (source / os.fsdecode(b"odd \xff\n")).write_text("odd")
    (source / "link").symlink_to("nowhere")
    os.mkfifo(source / "pipe")
    sent = _send(source, place)
    assert sent == {"d", "d/a", os.fsdecode(b"odd \xff\n"), "link"}
    assert returning.versions(place) == returning.versions(source)
    (source / "d" / "a").write_bytes(b"2" * 10)
    (source / "link").unlink()
    assert _send(source, place) == {"d/a"}
    assert returning.versions(place) == returning.versions(source)


def test_a_hole_stays_one(place: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with (source / "a").open("wb") as file:
        file.write(b"1")
        file.seek(16 << 20)
        file.write(b"2")
        file.truncate(32 << 20)
    _send(source, place)
    assert (place / "a").read_bytes() == (source / "a").read_bytes()
    assert (place / "a").stat().st_blocks * 512 < 1 << 20


def _send(source: Path, place: Path) -> set[str]:
    packed = io.BytesIO()
    root = os.open(source, os.O_RDONLY)
    porter.send(root, json.loads(json.dumps(returning.versions(place))), packed)
    os.close(root)
    returning.receive(io.BytesIO(packed.getvalue()), place)
    with tarfile.open(fileobj=io.BytesIO(packed.getvalue()), errors="surrogateescape") as archive:
        return set(archive.getnames()) - {porter.LISTING}


def test_a_file_that_shrinks_meanwhile_spoils_nothing(tmp_path: Path, place: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_bytes(b"1" * 100_000)
    (source / "b").write_text("b")

    class Shrinking(io.BytesIO):
        def write(self, data: object) -> int:
            (source / "a").write_bytes(b"1")
            return super().write(data)  # type: ignore[arg-type]  # pyright: ignore

    packed = Shrinking()
    root = os.open(source, os.O_RDONLY)
    porter.send(root, {}, packed)
    os.close(root)
    returning.receive(io.BytesIO(packed.getvalue()), place)
    assert (place / "b").read_text() == "b"
