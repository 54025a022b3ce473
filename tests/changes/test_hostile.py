"""A working copy that tries to run code on the host, to hide, or to bring broken objects."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import struct
import zlib
from typing import TYPE_CHECKING

import pytest

from bottlemux.cli.diff import _whole, coloured
from bottlemux.errors import BottlemuxError
from bottlemux.lifecycle.changes import Review, comparison, fetch
from tests.changes.conftest import Place, git

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.bwrap

_HOOKS = (
    "post-index-change",
    "reference-transaction",
    "pre-auto-gc",
    "post-checkout",
    "update",
    "post-rewrite",
)


def _program(place: Place) -> str:
    """Return a program that leaves a mark on the host when it can."""
    program = place.work / "evil.sh"
    program.write_text(f"#!/bin/sh\necho ran >> {place.canary}\ncat\n")
    program.chmod(0o755)
    return str(program)


def _hooks(place: Place) -> None:
    for name in _HOOKS:
        shutil.copy(_program(place), place.work / ".git" / "hooks" / name)


def _configuration(place: Place) -> None:
    program = _program(place)
    for key in (
        "core.fsmonitor", "core.sshCommand", "core.pager", "diff.external", "uploadpack.packObjectsHook",
        "core.alternateRefsCommand", "filter.x.clean", "filter.x.smudge", "filter.x.process", "diff.x.textconv",
        "diff.x.command", "core.editor", "gpg.program", "credential.helper",
    ):  # fmt: skip
        git(place.work, "config", key, program)
    (place.work / ".gitattributes").write_text("* filter=x diff=x\n")


def _include(place: Place) -> None:
    extra = place.work / "extra.config"
    extra.write_text(f"[core]\n\tfsmonitor = {_program(place)}\n[diff]\n\texternal = {_program(place)}\n")
    git(place.work, "config", "include.path", str(extra))


def _gitdir_elsewhere(place: Place) -> None:
    evil = place.work / "evil"
    shutil.move(place.work / ".git", evil)
    _ = [shutil.copy(_program(place), evil / "hooks" / name) for name in _HOOKS]
    (place.work / ".git").write_text(f"gitdir: {evil}\n")
    git(place.work, "config", "core.fsmonitor", _program(place))


def _submodule(place: Place) -> None:
    nested = place.work / "nested"
    nested.mkdir()
    git(nested, "init", "-q")
    (nested / "x").write_text("x")
    git(nested, "add", "x")
    git(nested, "commit", "-q", "-m", "x")
    git(nested, "config", "core.fsmonitor", _program(place))
    (place.work / ".gitmodules").write_text(
        '[submodule "n"]\n\tpath = nested\n\turl = ext::evil.sh\n\tupdate = !evil.sh\n'
    )


@pytest.mark.parametrize(
    "attack",
    [_hooks, _configuration, _include, _gitdir_elsewhere, _submodule],
    ids=lambda attack: attack.__name__,
)
@pytest.mark.parametrize("action", ["diff", "fetch"])
def test_nothing_runs_on_the_host(place: Place, attack: Callable[[Place], None], action: str) -> None:
    place.commit("more.txt", "more\n")
    attack(place)
    place.canary.unlink(missing_ok=True)
    with contextlib.suppress(BottlemuxError):
        if action == "fetch":
            fetch(place.context, place.record)
        else:
            with Review(comparison(place.context, place.record)) as review:
                review.diff()
                review.diff("--stat")
    assert not place.canary.exists()


@pytest.mark.parametrize(
    "attributes",
    [
        "* filter=hide",
        "* -diff",
        "* binary",
        "* diff=hide",
        "* ident eol=crlf",
        "* working-tree-encoding=UTF-16",
    ],
)
def test_attributes_hide_nothing(place: Place, attributes: str) -> None:
    git(place.work, "config", "filter.hide.clean", "git show HEAD:%f")
    git(place.work, "config", "diff.hide.textconv", "true")
    git(place.work, "config", "diff.hide.command", "true")
    (place.work / ".gitattributes").write_text(attributes + "\n")
    (place.work / "file.txt").write_text("one\nHIDDEN\n")
    with Review(comparison(place.context, place.record)) as review:
        assert b"+HIDDEN\n" in review.diff()


def test_the_agents_index_and_history_hide_nothing(place: Place) -> None:
    (place.work / "file.txt").write_text("one\nHIDDEN\n")
    git(place.work, "update-index", "--assume-unchanged", "file.txt")
    (place.work / ".git" / "info" / "exclude").write_text("*\n")
    (place.work / "untracked.txt").write_text("UNSEEN\n")
    shutil.rmtree(place.work / ".git" / "objects")
    with Review(comparison(place.context, place.record)) as review:
        shown = review.diff()
    assert b"+HIDDEN\n" in shown
    assert b"+UNSEEN\n" in shown


def test_links_and_alternates_show_no_file_of_the_host(place: Place, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("S3CRET\n")
    (place.work / "file.txt").unlink()
    (place.work / "file.txt").symlink_to(secret)
    (place.work / "directory").symlink_to(tmp_path)
    (place.work / ".gitignore").symlink_to(secret)
    (place.work / ".git" / "objects" / "info" / "alternates").write_text(f"{tmp_path}\n")
    with Review(comparison(place.context, place.record)) as review:
        assert b"S3CRET" not in review.diff()


def test_a_link_in_place_of_the_repository_reaches_nothing(place: Place, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    (other / "x").write_text("private\n")
    git(other, "add", ".")
    git(other, "commit", "-q", "-m", "private")
    shutil.rmtree(place.work / ".git")
    (place.work / ".git").symlink_to(other / ".git")
    with pytest.raises(BottlemuxError):
        fetch(place.context, place.record)


def _loose(place: Place, kind: str, body: bytes) -> str:
    data = f"{kind} {len(body)}\0".encode() + body
    name = hashlib.sha1(data).hexdigest()
    path = place.work / ".git" / "objects" / name[:2] / name[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zlib.compress(data))
    return name


def _commit_of(place: Place, tree: str) -> str:
    who = "a <a@example.com> 0 +0000"
    return _loose(place, "commit", f"tree {tree}\nauthor {who}\ncommitter {who}\n\nm\n".encode())


@pytest.mark.parametrize("name", [b".git", b"..", b"a/b", b".GIT"], ids=repr)
def test_broken_trees_are_not_kept(place: Place, name: bytes) -> None:
    blob = _loose(place, "blob", b"x\n")
    tree = _loose(place, "tree", b"100644 " + name + b"\0" + bytes.fromhex(blob))
    git(place.work, "update-ref", "HEAD", _commit_of(place, tree))
    with pytest.raises(BottlemuxError, match="cannot fetch"):
        fetch(place.context, place.record)
    assert not (place.project / ".git" / "refs" / "heads" / "bottlemux").exists()
    assert git(place.project, "count-objects", "-v").splitlines()[0] == "count: 3"


def test_only_one_ref_arrives(place: Place) -> None:
    tip = place.commit("more.txt", "more\n")
    for ref in ("refs/heads/main", "refs/tags/v1", "refs/replace/" + tip, "refs/heads/a;touch${IFS}x"):
        path = place.work / ".git" / ref
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(tip + "\n")
    before = git(place.project, "rev-parse", "main")
    fetched = fetch(place.context, place.record)
    refs = git(place.project, "for-each-ref", "--format=%(refname)").splitlines()
    assert refs == [f"refs/heads/{fetched.branch}", "refs/heads/main"]
    assert git(place.project, "rev-parse", "main") == before


def test_text_of_the_agents_is_harmless_to_a_terminal(place: Place) -> None:
    (place.work / "file.txt").write_text("\x1b]52;c;ZXZpbA==\x07\u202e\r\x9b2J\n")
    name = os.fsdecode(b"\x1b[2Jname\n")
    (place.work / name).write_text("x\n")
    place.commit("message.txt", "x\n")
    with Review(comparison(place.context, place.record)) as review:
        text = "".join(coloured(review.diff("--patch-with-stat"), colours=False))
    assert not set(text) & {"\x1b", "\x07", "\r", "\x9b", "\u202e"}
    assert "\\x1b]52" in text


def test_what_is_too_large_is_cut_and_never_applied(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bottlemux.lifecycle.changes.MAX_DIFF_BYTES", 1000)
    (place.work / "large.txt").write_text("line\n" * 1000)
    with Review(comparison(place.context, place.record)) as review:
        patch = review.diff()
    assert len(patch) == 1000
    with pytest.raises(BottlemuxError, match="larger"):
        _whole(patch)


def test_a_giant_file_is_named_but_not_compared(place: Place) -> None:
    with (place.work / "giant").open("wb") as stream:
        stream.truncate(1 << 28)
    with Review(comparison(place.context, place.record)) as review:
        assert b"giant" in review.diff("--stat")


def _forged(name: str, content: bytes) -> tuple[bytes, bytes]:
    """Return a pack and its index in which the object ``name`` has another content than its name says."""
    kinds, size = bytearray(), len(content)
    first, size = (3 << 4) | (size & 15), size >> 4
    while size:
        kinds.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    body = bytes([*kinds, first]) + zlib.compress(content)
    pack = b"PACK" + struct.pack(">II", 2, 1) + body
    pack += hashlib.sha1(pack).digest()
    raw = bytes.fromhex(name)
    fan = b"".join(struct.pack(">I", int(number >= raw[0])) for number in range(256))
    index = (
        b"\377tOc" + struct.pack(">I", 2) + fan + raw + struct.pack(">II", zlib.crc32(body), 12) + pack[-20:]
    )
    return pack, index + hashlib.sha1(index).digest()


def test_a_forged_object_of_the_base_hides_nothing(place: Place) -> None:
    blob = git(place.work, "rev-parse", "HEAD:file.txt")
    (place.work / "file.txt").write_text("one\nHIDDEN\n")
    pack, index = _forged(blob, b"one\nHIDDEN\n")
    packs = place.work / ".git" / "objects" / "pack"
    packs.mkdir(exist_ok=True)
    (packs / f"pack-{'a' * 40}.pack").write_bytes(pack)
    (packs / f"pack-{'a' * 40}.idx").write_bytes(index)
    with Review(comparison(place.context, place.record)) as review:
        assert b"+HIDDEN\n" in review.diff()


def _empty_repository(work: Path) -> None:
    git(work, "init", "-q", "zz")


def _name_git_refuses(work: Path) -> None:
    (work / "git~1").write_text("x")


@pytest.mark.parametrize("trick", [_empty_repository, _name_git_refuses])
def test_what_git_chokes_on_hides_no_new_file(place: Place, trick: Callable[[Path], None]) -> None:
    (place.work / "a-new-file").write_text("UNSEEN\n")
    (place.work / "zzz-new-file").write_text("UNSEEN AS WELL\n")
    trick(place.work)
    with Review(comparison(place.context, place.record)) as review:
        shown = review.diff()
        assert b"+UNSEEN\n" in shown
        assert b"+UNSEEN AS WELL\n" in shown
        assert review.hidden


def test_what_the_agents_rules_ignore_is_named(place: Place) -> None:
    (place.work / ".gitignore").write_text("*\n")
    (place.work / "new-file").write_text("UNSEEN\n")
    with Review(comparison(place.context, place.record)) as review:
        review.diff()
        assert {"ignored: new-file", "ignored: .gitignore"} <= set(review.hidden)


def _another_repository(tmp_path: Path) -> Path:
    other = tmp_path / "other"
    git(tmp_path, "init", "-q", str(other))
    (other / "library").write_text("one\n")
    git(other, "add", ".")
    git(other, "commit", "-q", "-m", "first")
    return other


def test_a_submodule_whose_files_may_have_changed_is_named(
    make_place: Callable[..., Place], project: Path, tmp_path: Path
) -> None:
    add = ["-c", "protocol.file.allow=always", "submodule", "add", "-q", str(_another_repository(tmp_path))]
    git(project, *add, "sub")
    git(project, *add, "empty")
    git(project, "commit", "-q", "-m", "submodules")
    git(project, "submodule", "deinit", "-q", "-f", "empty")
    place = make_place(project, "mount")
    (place.work / "sub" / "library").write_text("UNSEEN\n")
    with Review(comparison(place.context, place.record)) as review:
        review.diff()
        assert review.hidden == ("in a repository of its own: sub",)


def test_repositories_of_the_agents_own_are_named_in_a_line_each(place: Place, tmp_path: Path) -> None:
    other = _another_repository(tmp_path)
    for name in ("one", "two\n"):
        git(place.work, "clone", "-q", str(other), name)
    with Review(comparison(place.context, place.record)) as review:
        review.diff()
        assert review.hidden == (
            "in a repository of its own: one",
            'in a repository of its own: "two\\n"',
        )


@pytest.mark.skipif(os.getuid() == 0, reason="root reads every file")
def test_a_comparison_that_breaks_off_says_so(place: Place) -> None:
    (place.work / "file.txt").chmod(0)
    with Review(comparison(place.context, place.record)) as review:
        review.diff()
        assert review.hidden


def test_a_base_in_borrowed_objects_is_found(
    make_place: Callable[..., Place], project: Path, tmp_path: Path
) -> None:
    borrowing = tmp_path / "borrowing"
    git(tmp_path, "clone", "-q", "--shared", str(project), str(borrowing))
    place = make_place(borrowing)
    (place.work / "file.txt").write_text("one\nCHANGED\n")
    with Review(comparison(place.context, place.record)) as review:
        assert b"+CHANGED\n" in review.diff()
