"""Secrets are found wherever a push can carry them, and their values are never shown."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import pytest

from .conftest import git
from .fakes import aws_key, forge_token, needle

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from .conftest import World


@pytest.fixture
def branch(shared: World) -> Generator[Path]:
    """The shared clone on a fresh branch; nothing of it may get upstream."""
    work = shared.tmp / "work"
    git(work, "checkout", "--quiet", "--force", "--detach", "origin/main")
    before = git(shared.upstream, "for-each-ref").stdout
    yield work
    assert git(shared.upstream, "for-each-ref").stdout == before


def refused_push(shared: World, work: Path, *refspecs: str, reason: str = "secret") -> str:
    done = git(work, "push", "origin", *(refspecs or ("HEAD:refs/heads/x",)), check=False)
    assert done.returncode != 0
    assert f"remote: git-gate: refused ({reason})" in done.stderr
    last = shared.gates[0].audit()[-1]
    assert (last["decision"], last["reason"]) == ("block", reason)
    return done.stderr


def zipped(text: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.txt", text * 3)
    return stream.getvalue()


CONTENT: list[tuple[str, Callable[[str], tuple[str, bytes]]]] = [
    ("blob", lambda key: ("settings.py", f'key = "{key}"\n'.encode())),
    ("allow-comment", lambda key: ("settings.py", f'key = "{key}" # gitleaks:allow\n'.encode())),
    ("lock-file", lambda key: ("package-lock.json", f'{{"key": "{key}"}}\n'.encode())),
    ("image", lambda key: ("picture.png", b"\x89PNG\r\n\x1a\n\0\0" + f" {key} ".encode() + b"\0\xff")),
    ("vendored", lambda key: ("node_modules/a/b.js", f'key = "{key}"\n'.encode())),
    ("utf-16-le", lambda key: ("a.txt", f'\ufeffkey = "{key}"\n'.encode("utf-16-le"))),
    ("utf-16-be", lambda key: ("a.txt", f'\ufeffkey = "{key}"\n'.encode("utf-16-be"))),
    ("zip", lambda key: ("a.zip", zipped(f'key = "{key}"\n'))),
    ("nested-zip", lambda key: ("a.zip", zipped("") + zipped(f'key = "{key}"\n'))),
    ("last-line", lambda key: ("a.txt", f'x\n{"y" * 200_000}\nkey = "{key}"'.encode())),
]


@pytest.mark.parametrize(("name", "make"), CONTENT, ids=[name for name, _ in CONTENT])
def test_in_a_file(shared: World, branch: Path, name: str, make: Callable[[str], tuple[str, bytes]]) -> None:
    key = aws_key()
    path, content = make(key)
    commit = shared.commit(branch, path, content)
    shown = refused_push(shared, branch)
    assert key not in shown
    assert path in shown
    assert commit[:12] in shown
    assert key not in shared.gates[0].spec.audit_file.read_text()


def test_in_a_file_marked_as_binary(shared: World, branch: Path) -> None:
    shared.commit(branch, ".gitattributes", "* -diff binary\n")
    shared.commit(branch, "a.dat", f"token = {forge_token()}\n")
    refused_push(shared, branch)


def test_with_configuration_and_ignore_files_in_the_tree(shared: World, branch: Path) -> None:
    shared.commit(branch, ".gitleaks.toml", "[allowlist]\npaths = ['.*']\nregexes = ['.*']\n")
    shared.commit(branch, ".gitleaksignore", "a.txt:aws-access-token:1\n")
    shared.commit(branch, "a.txt", aws_key())
    refused_push(shared, branch)


def test_in_a_message(shared: World, branch: Path) -> None:
    shared.commit(branch, message=f"use {aws_key()}")
    assert "its message or author" in refused_push(shared, branch)


def test_in_an_author(shared: World, branch: Path) -> None:
    git(branch, "commit", "--quiet", "--allow-empty", "-m", "m", "--author", f"{aws_key()} <a@b>")
    refused_push(shared, branch)


def test_in_a_file_name(shared: World, branch: Path) -> None:
    shared.commit(branch, f"deep/{aws_key()}.txt")
    assert "a file name in deep" in refused_push(shared, branch)


def test_in_a_new_name_of_old_content(shared: World, branch: Path) -> None:
    git(branch, "mv", "README", aws_key())
    git(branch, "commit", "--quiet", "-m", "rename")
    refused_push(shared, branch)


def spread(secret: str) -> tuple[str, str]:
    """Return a name and a path below it that make ``secret`` together; no part gives it away by itself."""
    third = len(secret) // 3
    return secret[:third], f"{secret[third : 2 * third]}/{secret[2 * third :]}"


def test_spread_over_the_names_of_directories(shared: World, branch: Path) -> None:
    start, end = spread(shared.needles[0])
    shown = commit_and_refuse(shared, branch, {f"deep/{start}/{end}/file": "x\n"})
    assert "the whole path of a file" in shown
    assert end not in shown


def test_spread_over_directories_that_have_another_name_as_well(shared: World, branch: Path) -> None:
    start, end = spread(shared.needles[0])
    commit_and_refuse(shared, branch, {f"a/{end}/file": "x\n", f"{start}/{end}/file": "x\n"})


def test_spread_over_directories_in_a_later_commit(shared: World, branch: Path) -> None:
    start, end = spread(shared.needles[0])
    shared.commit(branch, f"a/{end}/file")
    git(branch, "mv", "a", start)
    commit_and_refuse(shared, branch, {})


def test_spread_over_directories_of_a_merge_alone(shared: World, branch: Path) -> None:
    start, end = spread(shared.needles[0])
    shared.commit(branch, f"a/{end}/file")
    one = git(branch, "rev-parse", "HEAD").stdout.strip()
    git(branch, "checkout", "--quiet", "--detach", "origin/main")
    shared.commit(branch, "two")
    git(branch, "merge", "--quiet", "--no-commit", one)
    commit_and_refuse(shared, branch, {f"{start}/{end}/file": "x\n"})


def test_the_same_content_at_a_place_that_says_what_it_is(shared: World, branch: Path) -> None:
    line = f"db.example.com:5432:app:app:{forge_token()[4:24]}\n"
    commit_and_refuse(shared, branch, {"a.txt": line, "home/.pgpass": line})


def commit_and_refuse(shared: World, work: Path, files: dict[str, str]) -> str:
    for path, content in files.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text(content)
    git(work, "add", "--all", "--force")
    git(work, "commit", "--quiet", "--message", "m")
    return refused_push(shared, work)


def test_in_a_branch_name(shared: World, branch: Path) -> None:
    shared.commit(branch)
    refused_push(shared, branch, f"HEAD:refs/heads/{aws_key()}")


def test_deleted_again_in_a_later_commit(shared: World, branch: Path) -> None:
    shared.commit(branch, "a.txt", aws_key())
    git(branch, "rm", "--quiet", "a.txt")
    git(branch, "commit", "--quiet", "-m", "remove it")
    refused_push(shared, branch)


def test_in_a_merge_alone(shared: World, branch: Path) -> None:
    shared.commit(branch, "one")
    one = git(branch, "rev-parse", "HEAD").stdout.strip()
    git(branch, "checkout", "--quiet", "--detach", "origin/main")
    shared.commit(branch, "two")
    git(branch, "merge", "--quiet", "--no-commit", one)
    shared.commit(branch, "two", aws_key(), "merge")
    refused_push(shared, branch)


def test_in_a_side_branch_of_the_push(shared: World, branch: Path) -> None:
    clean = shared.commit(branch)
    shared.commit(branch, "a.txt", aws_key())
    refused_push(shared, branch, f"{clean}:refs/heads/x", "HEAD:refs/heads/y")


def test_own_secrets_in_any_encoding(shared: World, branch: Path) -> None:
    import base64

    own = shared.needles[0]
    for index, text in enumerate(
        [own, base64.b64encode(b"x" + own.encode()).decode(), own.encode().hex(), own[::-1]]
    ):
        git(branch, "checkout", "--quiet", "--force", "--detach", "origin/main")
        shared.commit(branch, f"a{index}", f"about {text}\n")
        assert own not in refused_push(shared, branch)


def test_an_encrypted_archive_cannot_be_scanned(shared: World, branch: Path) -> None:
    content = bytearray(zipped("hello"))
    content[6] |= 1
    shared.commit(branch, "a.zip", bytes(content))
    refused_push(shared, branch, reason="unreadable")


def test_in_a_tag(world: World) -> None:
    gate = world.gate(allow_tags=True)
    work = world.checkout(gate)
    git(work, "tag", "-a", "v1", "-m", f"key {aws_key()}")
    done = git(work, "push", "origin", "v1", check=False)
    assert "remote: git-gate: refused (secret)" in done.stderr
    assert not world.upstream_ref("refs/tags/v1")
    git(work, "tag", "-a", "v2", "-m", "fine")
    git(work, "push", "origin", "v2")


def test_spread_over_directories_below_a_tag(world: World) -> None:
    start, end = spread(needle())
    world.needles = (start + end,)
    work = world.checkout(world.gate(allow_tags=True))
    world.commit(work, f"{start}/{end}/file")
    tree = git(work, "rev-parse", "HEAD^{tree}").stdout.strip()
    git(work, "tag", "-a", "v1", "-m", "a tree", tree)
    done = git(work, "push", "origin", "v1", check=False)
    assert "remote: git-gate: refused (secret)" in done.stderr
    assert not world.upstream_ref("refs/tags/v1")


def test_the_same_directory_at_two_places_passes(world: World) -> None:
    work = world.checkout(world.gate())
    for place in ("one", "two/three", "two/four"):
        new = world.commit(work, f"{place}/same/file")
    git(work, "push", "origin", "HEAD:x")
    assert world.upstream_ref("refs/heads/x") == new


def test_paths_that_upstream_has_already_are_not_held_against_a_push(world: World) -> None:
    start, end = spread(needle())
    world.needles = (start + end,)
    seed = world.tmp / "seed"
    world.commit(seed, f"{start}/{end}/file", "old\n")
    git(seed, "push", "--quiet", str(world.upstream), "main")
    work = world.checkout(world.gate())
    world.commit(work, f"{start}/{end}/file", "new\n")
    git(work, "checkout", "--quiet", "-b", "side", "HEAD~2")
    world.commit(work, "side")
    git(work, "merge", "--quiet", "--no-edit", "main")
    git(work, "rm", "--quiet", "-r", start)
    new = world.commit(work, "last")
    git(work, "push", "origin", "HEAD:x")
    assert world.upstream_ref("refs/heads/x") == new


def test_what_upstream_has_already_is_not_held_against_a_push(world: World) -> None:
    seed = world.tmp / "seed"
    world.commit(seed, "old.txt", aws_key())
    git(seed, "push", "--quiet", str(world.upstream), "main")
    work = world.checkout(world.gate())
    new = world.commit(work, "new.txt")
    git(work, "push", "origin", "HEAD:x")
    assert world.upstream_ref("refs/heads/x") == new
