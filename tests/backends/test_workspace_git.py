"""Git on a repository that hostile code has written: nothing of it may run on the host."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from backends import workspace
from bottlemux.errors import BottlemuxError

from .world import git

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    git(directory, "init", "-q", "-b", "main")
    (directory / "file").write_text("one\n")
    git(directory, "add", ".")
    git(directory, "commit", "-q", "-m", "first")
    return directory


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()


def hooks(source: Path, evil: str) -> None:
    for name in (
        "post-checkout",
        "pre-commit",
        "reference-transaction",
        "post-index-change",
        "fsmonitor-watchman",
    ):
        hook = source / ".git/hooks" / name
        hook.write_text(f"#!/bin/sh\n{evil}\n")
        hook.chmod(0o755)


def configured(name: str, value: str = "{evil}") -> object:
    def plant(source: Path, evil: str) -> None:
        git(source, "config", name, value.format(evil=evil))

    return plant


def filters(source: Path, evil: str) -> None:
    git(source, "config", "filter.evil.smudge", evil)
    git(source, "config", "filter.evil.clean", evil)
    git(source, "config", "filter.evil.process", evil)
    (source / ".git/info/attributes").write_text("* filter=evil\n")
    (source / ".gitattributes").write_text("* filter=evil\n")
    environ = {"PATH": os.environ["PATH"], "HOME": "/"}
    plumbing = [
        "git", "-c", "filter.evil.clean=cat", "-c", "filter.evil.process=", "-c", "user.name=a", "-c", "user.email=a@b",
    ]  # fmt: skip
    subprocess.run([*plumbing, "add", ".gitattributes"], cwd=source, env=environ, check=True)
    subprocess.run([*plumbing, "commit", "-qm", "x"], cwd=source, env=environ, check=True)


def included(source: Path, evil: str) -> None:
    (source / "more").write_text(f"[core]\n\tfsmonitor = {evil}\n\tsshCommand = {evil}\n\tpager = {evil}\n")
    git(source, "config", "include.path", str(source / "more"))


def submodule(source: Path, evil: str) -> None:
    (source / ".gitmodules").write_text(
        f'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "{evil}"\n\tupdate = !{evil}\n'
    )
    git(source, "add", ".gitmodules")
    git(
        source, "update-index", "--add", "--cacheinfo", f"160000,{git(source, 'rev-parse', 'HEAD').strip()},x"
    )
    git(source, "commit", "-qm", "submodule")


def missing_objects(source: Path, evil: str) -> None:
    """A repository that says of itself to be partial has git fetch what is missing, by a command of its own."""
    git(source, "config", "core.repositoryformatversion", "1")
    git(source, "config", "extensions.partialClone", "origin")
    git(source, "config", "remote.origin.url", f"ext::sh -c {evil}")
    git(source, "config", "remote.origin.promisor", "true")
    git(source, "config", "remote.origin.uploadpack", evil)
    git(source, "config", "protocol.ext.allow", "always")
    blob = git(source, "rev-parse", "HEAD:file").strip()
    (source / ".git/objects" / blob[:2] / blob[2:]).unlink()


PLANTS = {
    "hooks": hooks,
    "core.hooksPath": configured("core.hooksPath", "{evil}"),
    "core.fsmonitor": configured("core.fsmonitor"),
    "core.sshCommand": configured("core.sshCommand"),
    "core.gitProxy": configured("core.gitProxy"),
    "core.pager": configured("core.pager"),
    "core.editor": configured("core.editor"),
    "core.askPass": configured("core.askPass"),
    "core.alternateRefsCommand": configured("core.alternateRefsCommand"),
    "uploadpack.packObjectsHook": configured("uploadpack.packObjectsHook"),
    "credential.helper": configured("credential.helper", "!{evil}"),
    "gpg.program": configured("gpg.program"),
    "alias": configured("alias.checkout", "!{evil}"),
    "diff.external": configured("diff.external"),
    "filters": filters,
    "include.path": included,
    "submodule": submodule,
    "missing objects": missing_objects,
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_hostile_repository_runs_nothing_when_cloned(source: Path, tmp_path: Path, plant: str) -> None:
    witness, script = tmp_path / "witness", tmp_path / "evil"
    script.write_text(f"#!/bin/sh\ntouch {witness}\nexit 1\n")
    script.chmod(0o755)
    PLANTS[plant](source, str(script))  # type: ignore[operator]
    try:
        workspace.make_clone(source, tmp_path / "target", "bottlemux/x")
    except BottlemuxError:
        assert not (tmp_path / "target").exists()
    assert not witness.exists()


def test_the_witness_can_see(source: Path, tmp_path: Path) -> None:
    """Without the settings that keep it quiet, a planted monitor runs."""
    witness, script = tmp_path / "witness", tmp_path / "evil"
    script.write_text(f"#!/bin/sh\ntouch {witness}\n")
    script.chmod(0o755)
    git(source, "config", "core.fsmonitor", str(script))
    git(source, "status")
    assert witness.exists()
    witness.unlink()
    workspace.git("status", cwd=source)
    assert not witness.exists()


@pytest.mark.parametrize("kind", ["smudge", "process"])
def test_a_filter_of_the_operators_own_does_not_run_on_what_an_agent_wrote(
    source: Path, tmp_path: Path, kind: str
) -> None:
    witness = tmp_path / "witness"
    settings = f'[filter "own.x"]\n\t{kind} = touch {witness}\n\trequired = true\n'
    (tmp_path / "home/.gitconfig").write_text(settings)
    (source / ".gitattributes").write_text("* filter=own.x\n")
    git(source, "add", ".")
    git(source, "commit", "-qm", "attributes")
    workspace.make_clone(source, tmp_path / "target", "bottlemux/x")
    assert (tmp_path / "target/file").read_text() == "one\n"
    assert not witness.exists()


REMOTES = {
    "token": ("https://user:s3cret@example.com/a.git", "https://example.com/a.git"),
    "two signs": ("HTTPS://a@b:s3cret@example.com/a@b.git", "HTTPS://example.com/a@b.git"),
    "ssh": ("ssh://git@example.com:22/a.git", "ssh://git@example.com:22/a.git"),
    "scp form": ("git@example.com:a.git", "git@example.com:a.git"),
    "in the path": ("https://example.com/a@b.git", "https://example.com/a@b.git"),
}


@pytest.mark.parametrize(("url", "expected"), REMOTES.values(), ids=REMOTES)
def test_a_clone_names_the_projects_remotes_without_credentials(
    source: Path, tmp_path: Path, url: str, expected: str
) -> None:
    git(source, "remote", "add", "origin", url)
    workspace.make_clone(source, tmp_path / "target", "bottlemux/x")
    assert git(tmp_path / "target", "remote", "get-url", "origin").strip() == expected


def test_a_failed_copy_says_why_in_a_line_and_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    (source / "one").touch()
    (source / "two").touch()
    monkeypatch.setattr(shutil, "copyfileobj", refuse)
    with pytest.raises(BottlemuxError, match=r": Permission denied \(and \d+ more\)$"):
        workspace.make_copy(source, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_copy_follows_no_link_and_takes_no_special_file(tmp_path: Path) -> None:
    source, outside = tmp_path / "source", tmp_path / "outside"
    (source / "inner").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (source / "inner" / "file").write_text("text")
    (source / "inner" / "run").write_text("#!/bin/sh")
    (source / "inner" / "run").chmod(0o4755)
    (source / "link").symlink_to(outside)
    os.mkfifo(source / "pipe")
    workspace.make_copy(source, tmp_path / "copy", skip={"inner/skipped"})
    copy = tmp_path / "copy"
    assert (copy / "link").is_symlink()
    assert (copy / "inner" / "file").read_text() == "text"
    assert (copy / "inner" / "run").stat().st_mode & 0o7777 == 0o755
    assert sorted(path.name for path in copy.iterdir()) == ["inner", "link"]


def test_a_directory_swapped_for_a_link_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, outside = tmp_path / "source", tmp_path / "outside"
    (source / "inner").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text("secret")
    real = os.stat

    def swapping(name: str, **options: Any) -> os.stat_result:
        status = real(name, **options)
        if name == "inner":
            (source / "inner").rmdir()
            (source / "inner").symlink_to(outside)
        return status

    monkeypatch.setattr("backends.copying.os.stat", swapping)
    with pytest.raises(BottlemuxError):
        workspace.make_copy(source, tmp_path / "copy")
    assert not list(tmp_path.rglob("copy/**/secret"))


def test_a_token_in_a_remotes_url_is_warned_of(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "remote", "add", "origin", "https://user:hunter2hunter2@example.com/a.git")
    (warning,) = workspace.mount_warnings(tmp_path)
    assert "example.com" in warning
    assert "hunter2" not in warning


def test_links_to_the_host_stay_links(source: Path, tmp_path: Path) -> None:
    (source / "link").symlink_to("/etc/passwd")
    git(source, "add", "link")
    git(source, "commit", "-qm", "link")
    workspace.make_clone(source, tmp_path / "target", "bottlemux/x")
    assert (tmp_path / "target/link").is_symlink()
    workspace.make_copy(source, tmp_path / "copy")
    assert (tmp_path / "copy/link").is_symlink()


def test_a_failed_clone_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BottlemuxError):
        workspace.make_clone(tmp_path / "empty", tmp_path / "target", "bottlemux/x")
    assert not (tmp_path / "target").exists()


def test_a_repository_without_commits_can_be_cloned(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "bare")
    workspace.make_clone(tmp_path / "bare", tmp_path / "target", "bottlemux/x")
    assert git(tmp_path / "target", "branch", "--show-current").strip() == "bottlemux/x"


def test_commits_in_a_clone_carry_the_projects_own_author(source: Path, tmp_path: Path) -> None:
    git(source, "config", "user.name", "A Person")
    workspace.make_clone(source, tmp_path / "target", "bottlemux/x")
    assert git(tmp_path / "target", "config", "--local", "user.name").strip() == "A Person"


def test_an_empty_directory_in_the_place_of_a_repository_is_none(tmp_path: Path) -> None:
    """A bottle that runs in a project without one has it put there."""
    (tmp_path / ".git").mkdir()
    assert not workspace.is_repository(tmp_path)
