"""What is too much, broken or unscannable is refused; so is everything when the gate itself cannot do its work."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sidecars.git_gate import engines, places, receive
from sidecars.git_gate.gitcmd import Git
from sidecars.git_gate.gitleaks import GitleaksScanner
from sidecars.git_gate.objects import NewObject, new_objects
from sidecars.git_gate.places import new_places
from sidecars.git_gate.refusal import Refused
from sidecars.git_gate.spec import GitGateSpec, Limits
from sidecars.scan.gitleaks import find_binary

from .conftest import clean_env, git
from .fakes import aws_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .conftest import World


def refused(world: World, work: Path, reason: str, text: str = "") -> None:
    done = git(work, "push", "origin", "HEAD:refs/heads/x", check=False)
    assert done.returncode != 0, done.stderr
    assert text in done.stderr
    last = world.gates[-1].audit()[-1]
    assert (last["decision"], last["reason"]) == ("block", reason)
    assert not world.upstream_ref("refs/heads/x")


@pytest.mark.parametrize(
    ("limits", "reason", "text"),
    [
        pytest.param(
            {"pack_bytes": 1 << 20},
            "too-large",
            "remote: fatal: pack exceeds maximum allowed size",
            id="pack",
        ),
        pytest.param(
            {"object_bytes": 1 << 20}, "too-large", "remote: git-gate: refused (too-large)", id="object"
        ),
        pytest.param({"scan_bytes": 1 << 20}, "too-large", "remote: git-gate: refused (too-large)", id="sum"),
        pytest.param({"objects": 2}, "too-large", "3 new objects, 2 can be scanned", id="objects"),
        pytest.param({"paths": 0}, "too-large", "the push has more than 0 new paths", id="paths"),
        pytest.param(
            {"scan_s": 0.001}, "scanner-failed", "remote: git-gate: refused (scanner-failed)", id="time"
        ),
    ],
)
def test_limits(world: World, limits: dict[str, Any], reason: str, text: str) -> None:
    world.limit(**limits)
    work = world.checkout(world.gate())
    world.commit(work, "big", os.urandom(2 << 20))
    refused(world, work, reason, text)


def test_too_many_refs(world: World) -> None:
    world.limit(refs=2)
    work = world.checkout(world.gate())
    done = git(work, "push", "origin", "HEAD:a", "HEAD:b", "HEAD:c", check=False)
    assert "between 1 and 2 refs" in done.stderr


def test_broken_objects(world: World) -> None:
    work = world.checkout(world.gate())
    tree = git(work, "rev-parse", "HEAD^{tree}").stdout.strip()
    raw = f"tree {tree}\nauthor x\ncommitter x\n\nbroken\n".encode()
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--literally", "--stdin"],
        input=raw, cwd=work, env=clean_env(work), capture_output=True, check=True,
    )  # fmt: skip
    git(work, "update-ref", "--no-deref", "HEAD", made.stdout.decode().strip())
    refused(world, work, "fsck", "missingEmail")


def test_git_that_does_not_ask_is_not_believed(world: World) -> None:
    gate = world.gate()
    work = world.checkout(gate)
    world.commit(work)
    (gate.spec.cache_dir / "hooks" / "pre-receive").chmod(0o600)
    done = git(work, "push", "origin", "HEAD:refs/heads/x", check=False)
    assert done.returncode != 0
    assert "new branch" not in done.stderr
    assert gate.audit()[-1]["reason"] == "scanner-failed"
    (gate.spec.cache_dir / "hooks" / "pre-receive").chmod(0o700)
    git(work, "push", "origin", "HEAD:refs/heads/y")
    assert "refs/heads/x" not in gate.mirror_refs()


def test_what_cannot_be_recorded_is_not_allowed(world: World) -> None:
    gate = world.gate()
    work = world.checkout(gate)
    world.commit(work)
    gate.spec.audit_file.unlink(missing_ok=True)
    gate.spec.audit_file.mkdir()
    for done in (git(work, "fetch", check=False), git(work, "push", "origin", "HEAD:x", check=False)):
        assert done.returncode != 0
        assert "git-gate: refused (audit-unavailable)" in done.stderr
    assert not world.upstream_ref("refs/heads/x")


def test_what_cannot_be_listed_is_not_scanned(world: World) -> None:
    """git refuses such a push by itself; the gate must not take an empty list for nothing new."""

    async def listed() -> list[NewObject]:
        git = Git(world.upstream, {})
        return [each async for each in new_objects(git, ["f" * 40], Limits(), {})]

    with pytest.raises(Refused, match="cannot be listed"):
        asyncio.run(listed())


def test_gitleaks_is_asked_where_the_gate_is_given_one(tmp_path: Path) -> None:
    spec = GitGateSpec("s", (), tmp_path, tmp_path / "audit.jsonl")
    assert isinstance(engines.make_scanner(spec), engines.BuiltinScanner)
    given = replace(spec, gitleaks=tmp_path / "gitleaks")
    assert isinstance(engines.make_scanner(given), engines.BothScanner)


def test_paths_that_cannot_be_listed_are_not_scanned(world: World) -> None:
    with pytest.raises(Refused, match="cannot be listed"):
        asyncio.run(new_places(Git(world.upstream, {}), ["f" * 40], Limits()))


@pytest.mark.parametrize("failing", ["diff-tree", "cat-file"])
def test_half_a_list_of_paths_is_none(world: World, tmp_path: Path, failing: str) -> None:
    work = world.checkout(world.gate())
    tip = world.commit(work)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "git"
    real = shutil.which("git")
    program.write_text(
        f'#!/bin/sh\ncase " $* " in *" {failing} "*) {real} "$@"; exit 1;; esac\nexec {real} "$@"\n'
    )
    program.chmod(0o755)
    half = Git(work / ".git", {}).with_extra(PATH=f"{program.parent}:{os.environ['PATH']}")
    with pytest.raises(Refused, match="cannot be listed"):
        asyncio.run(new_places(half, [tip], Limits()))


def multiplied(work: Path, levels: int) -> str:
    """Return a commit of a few trees that hold one another eight times each."""
    tree = git(work, "rev-parse", "HEAD^{tree}").stdout.strip()
    for _ in range(levels):
        listing = "".join(f"040000 tree {tree}\t{name}\n" for name in "abcdefgh")
        argv = ["git", "mktree"]
        made = subprocess.run(
            argv, input=listing.encode(), cwd=work, env=clean_env(work), capture_output=True
        )
        tree = made.stdout.decode().strip()
    return git(work, "commit-tree", tree, "-p", "HEAD", "-m", "m").stdout.strip()


def test_more_paths_than_there_are_objects_are_refused(world: World) -> None:
    world.limit(paths=1000)
    work = world.checkout(world.gate())
    git(work, "update-ref", "--no-deref", "HEAD", multiplied(work, 4))
    refused(world, work, "too-large", "the push has more than 1000 new paths")


def test_more_paths_than_git_may_hold_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_MEMORY", 8 << 20)
    world.limit(paths=10_000_000)
    work = world.checkout(world.gate())
    git(work, "update-ref", "--no-deref", "HEAD", multiplied(work, 5))
    refused(world, work, "scanner-failed", "the new paths cannot be listed")


def test_a_failure_of_the_gate_itself_refuses_and_is_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_arguments: object, **_options: object) -> list[str]:
        raise RuntimeError("a value that must not be shown")

    monkeypatch.setattr(receive, "push_on", fail)
    work = world.checkout(world.gate())
    world.commit(work)
    refused(world, work, "internal", "remote: git-gate: refused (internal): the gate failed")


class _Scanner:
    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def scan(self, batch: Sequence[NewObject], *, deadline: float) -> list[Any]:
        if self._error is not None:
            raise self._error
        await asyncio.Event().wait()
        return []


@pytest.mark.parametrize(
    "error", [RuntimeError("a value that must not be shown"), None], ids=["crash", "hang"]
)
def test_a_failing_scanner_refuses(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    monkeypatch.setattr(engines, "make_scanner", lambda spec: _Scanner(error))
    world.limit(scan_s=1.0)
    work = world.checkout(world.gate())
    world.commit(work)
    refused(world, work, "scanner-failed", "the scan for secrets did not complete")


def scan_with(
    binary: Path, directory: Path, *contents: bytes, seconds: float = 20.0
) -> list[tuple[str, str]]:
    batch = [NewObject("blob", "c" * 40, f"f{index}", content) for index, content in enumerate(contents)]
    scanner = GitleaksScanner(binary, directory)
    found = asyncio.run(scanner.scan(batch, deadline=time.monotonic() + seconds))
    return [(finding.rule, finding.item.path) for finding in found]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("exit 1", id="crash"),
        pytest.param("kill -9 $$", id="killed"),
        pytest.param("exit 0", id="silent"),
        pytest.param("echo '[]'; exit 1", id="crash-after-a-report"),
        pytest.param("echo nonsense", id="nonsense"),
        pytest.param("echo '{}x'", id="half-json"),
        pytest.param("echo '[{}]'; exit 77", id="empty-entry"),
        pytest.param("echo '[]'; exit 77", id="contradiction"),
        pytest.param("""echo '[{"RuleID": "r", "StartLine": 1}]'""", id="found-but-clean-exit"),
        pytest.param("sleep 60", id="hang"),
    ],
)
def test_a_failing_gitleaks_refuses(tmp_path: Path, script: str) -> None:
    binary = tmp_path / "gitleaks"
    binary.write_text(f"#!/bin/sh\ncat > /dev/null\n{script}\n")
    binary.chmod(0o755)
    with pytest.raises(Refused) as caught:
        scan_with(binary, tmp_path / "d", b"x", seconds=1.0)
    assert caught.value.reason == "scanner-failed"


def test_a_missing_gitleaks_refuses(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan_with(tmp_path / "none", tmp_path / "d", b"x")


def test_gitleaks_is_started_deaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLEAKS_CONFIG", "/hostile")
    binary = tmp_path / "gitleaks"
    binary.write_text(f'#!/bin/sh\ncat > /dev/null\n(env; pwd; echo "$@") > {tmp_path}/env\necho "[]"\n')
    binary.chmod(0o755)
    assert scan_with(binary, tmp_path / "d", b"x") == []
    seen = (tmp_path / "env").read_text()
    assert "GITLEAKS_CONFIG" not in seen
    assert f"{tmp_path}/d/empty\n" in seen
    assert "--ignore-gitleaks-allow" in seen
    assert f"--config {tmp_path}/d/config.toml" in seen


def test_gitleaks_names_the_right_file(tmp_path: Path) -> None:
    binary = find_binary()
    if binary is None:
        pytest.skip("gitleaks is not installed")
    contents = [b"clean\n", f'a = 1\nkey = "{aws_key()}" # gitleaks:allow'.encode(), b"", b"clean"]
    assert scan_with(binary, tmp_path / "d", *contents) == [("aws-access-token", "f1")]
    assert scan_with(binary, tmp_path / "d", b"clean") == []
