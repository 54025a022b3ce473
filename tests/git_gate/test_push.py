"""Clone, fetch and push through a real gate to a real sshd."""

from __future__ import annotations

import os
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from .conftest import clean_env, git

if TYPE_CHECKING:
    from .conftest import World


def reasons(world: World) -> list[tuple[str, str]]:
    return [(str(line["decision"]), str(line["reason"])) for line in world.gates[0].audit()]


def test_clone_fetch_and_push(world: World) -> None:
    gate = world.gate(warm=False)
    work = world.clone(gate)
    assert (work / "README").read_text() == "hello\n"
    new = world.commit(work)
    done = git(work, "push", "origin", "HEAD:refs/heads/bottlemux/one")
    assert "new branch" in done.stderr
    assert world.upstream_ref("refs/heads/bottlemux/one") == new
    newer = world.commit(work, content="y\n")
    git(work, "push", "origin", "HEAD:refs/heads/bottlemux/one")
    assert world.upstream_ref("refs/heads/bottlemux/one") == newer
    assert reasons(world).count(("allow", "pushed")) == 2


def test_fetch_shows_upstream_as_it_is_now(world: World) -> None:
    work = world.checkout(world.gate())
    seed = world.tmp / "seed"
    new = world.commit(seed, content="later\n")
    git(seed, "push", "--quiet", str(world.upstream), "main", "main:other")
    git(work, "fetch", "--quiet")
    assert git(work, "rev-parse", "origin/main").stdout.strip() == new
    git(seed, "push", "--quiet", str(world.upstream), ":other")
    git(work, "fetch", "--quiet", "--prune")
    assert "origin/other" not in git(work, "branch", "--remotes").stdout


def test_clone_checks_out_upstreams_default_branch(world: World) -> None:
    git(world.tmp / "seed", "push", "--quiet", str(world.upstream), "main:trunk")
    git(world.upstream, "symbolic-ref", "HEAD", "refs/heads/trunk")
    work = world.clone(world.gate())
    assert git(work, "branch", "--show-current").stdout.strip() == "trunk"


@pytest.mark.parametrize("version", ["0", "1", "2"])
def test_every_protocol_version(world: World, version: str) -> None:
    gate = world.gate()
    git(world.tmp, "-c", f"protocol.version={version}", "clone", "--quiet", gate.url(), "work")
    world.commit(world.tmp / "work")
    git(world.tmp / "work", "-c", f"protocol.version={version}", "push", "origin", "HEAD:new")
    assert world.upstream_ref("refs/heads/new")


def test_shallow_clone(world: World) -> None:
    seed = world.tmp / "seed"
    world.commit(seed)
    git(seed, "push", "--quiet", str(world.upstream), "main")
    git(world.tmp, "clone", "--quiet", "--depth", "1", world.gate().url(), "work")
    new = world.commit(world.tmp / "work", "more")
    git(world.tmp / "work", "push", "origin", "HEAD:refs/heads/x")
    assert world.upstream_ref("refs/heads/x") == new


def test_an_empty_upstream_takes_its_first_push(world: World) -> None:
    git(world.upstream, "update-ref", "-d", "refs/heads/main")
    gate = world.gate()
    new = git(world.tmp / "seed", "rev-parse", "HEAD").stdout.strip()
    git(world.tmp / "seed", "push", gate.url(), "main")
    assert world.upstream_ref("refs/heads/main") == new


def test_upstream_urls_are_rewritten_to_the_gate(world: World) -> None:
    gate = world.gate()
    options = [
        part for url in world.remote.instead_of() for part in ("-c", f"url.{gate.url()}.insteadOf={url}")
    ]
    assert git(world.tmp, *options, "ls-remote", world.remote.upstream, "HEAD").stdout
    assert git(world.tmp, *options, "ls-remote", world.remote.upstream.removesuffix(".git"), "HEAD").stdout


def test_large_histories_are_sent_in_chunks(world: World) -> None:
    work = world.checkout(world.gate())
    new = world.commit(work, "big", os.urandom(3 << 20))
    git(work, "push", "origin", "HEAD:refs/heads/big")
    assert world.upstream_ref("refs/heads/big") == new


@pytest.mark.parametrize(
    ("refspec", "reason"),
    [
        pytest.param(":main", "delete-not-allowed", id="delete"),
        pytest.param("HEAD:refs/tags/v1", "tag-not-allowed", id="tag"),
        pytest.param("HEAD:refs/foo", "ref-not-allowed", id="odd-namespace"),
        pytest.param("HEAD:refs/replace/" + "a" * 40, "ref-not-allowed", id="replace"),
        pytest.param("HEAD:refs/heads/--upload-pack=x", "ref-not-allowed", id="option"),
        pytest.param("HEAD:refs/heads/a;touch${IFS}x", "ref-not-allowed", id="shell"),
    ],
)
def test_refused_refs(shared: World, refspec: str, reason: str) -> None:
    work = shared.tmp / "work"
    shared.commit(work)
    before = git(shared.upstream, "for-each-ref").stdout
    done = git(work, "push", "origin", refspec, check=False)
    assert done.returncode != 0
    assert f"remote: git-gate: refused ({reason})" in done.stderr
    assert "remote: git-gate: hint: " in done.stderr
    assert reasons(shared)[-1] == ("block", reason)
    assert git(shared.upstream, "for-each-ref").stdout == before == shared.gates[0].mirror_refs()


def test_only_branches_of_the_manifest(world: World) -> None:
    work = world.checkout(world.gate(branches=("bottlemux/*",)))
    new = world.commit(work)
    done = git(work, "push", "origin", "HEAD:main", check=False)
    assert "remote: git-gate: hint: allowed branches: bottlemux/*" in done.stderr
    git(work, "push", "origin", "HEAD:bottlemux/fix")
    assert world.upstream_ref("refs/heads/bottlemux/fix") == new
    assert world.upstream_ref("refs/heads/main") != new


def test_history_is_not_rewritten(world: World) -> None:
    work = world.checkout(world.gate())
    old = world.upstream_ref("refs/heads/main")
    git(work, "commit", "--quiet", "--amend", "-m", "other")
    done = git(work, "push", "--force", "origin", "HEAD:main", check=False)
    assert "remote: git-gate: refused (force-not-allowed)" in done.stderr
    assert world.upstream_ref("refs/heads/main") == old


def test_permissions_open_what_they_name(world: World) -> None:
    work = world.checkout(world.gate(allow_tags=True, allow_force=True, allow_delete=True))
    world.commit(work)
    git(work, "tag", "-a", "v1", "-m", "first")
    git(work, "push", "origin", "HEAD:side", "v1")
    git(work, "commit", "--quiet", "--amend", "-m", "again")
    git(work, "push", "--force", "origin", "HEAD:side")
    head = git(work, "rev-parse", "HEAD").stdout.strip()
    assert world.upstream_ref("refs/heads/side") == head
    git(work, "push", "origin", ":side")
    assert not world.upstream_ref("refs/heads/side")
    assert world.upstream_ref("refs/tags/v1")


def test_one_refused_ref_refuses_all(world: World) -> None:
    work = world.checkout(world.gate())
    world.commit(work)
    done = git(work, "push", "origin", "HEAD:refs/heads/fine", "HEAD:refs/foo", check=False)
    assert done.returncode != 0
    assert not world.upstream_ref("refs/heads/fine")


def test_two_pushes_at_once(world: World) -> None:
    gate = world.gate()
    works = [world.checkout(gate, f"work{index}") for index in range(3)]
    for index, work in enumerate(works):
        world.commit(work, f"file{index}")
    results: dict[int, subprocess.CompletedProcess[str]] = {}

    def run(index: int, ref: str) -> None:
        results[index] = git(works[index], "push", "origin", f"HEAD:refs/heads/{ref}", check=False)

    threads = [
        threading.Thread(target=run, args=(index, ref)) for index, ref in enumerate(["a", "same", "same"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0].returncode == 0
    winners = [index for index in (1, 2) if results[index].returncode == 0]
    assert len(winners) == 1
    head = git(works[winners[0]], "rev-parse", "HEAD").stdout.strip()
    assert world.upstream_ref("refs/heads/same") == head


def test_the_identity_is_nowhere(world: World) -> None:
    gate = world.gate()
    work = world.checkout(gate)
    world.commit(work)
    env = clean_env(work, GIT_TRACE_PACKET="1", GIT_TRACE_CURL="1")
    done = subprocess.run(
        ["git", "push", "origin", "HEAD:x"], cwd=work, env=env, capture_output=True, timeout=60
    )
    assert done.returncode == 0
    secret = world.sshd.identity.read_text().splitlines()[2].encode()
    assert secret not in done.stderr
    assert b"identity" not in done.stderr
    files = [path for path in gate.spec.cache_dir.rglob("*") if path.is_file()]
    assert not any(secret in path.read_bytes() for path in [*files, gate.spec.audit_file])
    assert gate.spec.cache_dir.stat().st_mode & 0o777 == 0o700


def test_a_unix_socket_is_served_too(world: World) -> None:
    gate = world.gate()
    done = subprocess.run(
        ["curl", "--silent", "--unix-socket", str(gate.unix), "http://git-gate/origin.git/info/refs?service=git-upload-pack"],
        capture_output=True, timeout=30,
    )  # fmt: skip
    assert done.stdout.startswith(b"001e# service=git-upload-pack\n")
