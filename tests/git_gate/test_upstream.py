"""What upstream says is passed on, and a success is only ever upstream's."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from .conftest import clean_env, free_port, git, keygen, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import World


def push(
    work: Path, refspec: str = "HEAD:refs/heads/x", to: str = "origin"
) -> subprocess.CompletedProcess[str]:
    return git(work, "push", to, refspec, check=False)


def test_upstreams_refusal_is_heard(world: World) -> None:
    world.hook("pre-receive", "echo 'not on a Friday' >&2; exit 1")
    gate = world.gate()
    work = world.checkout(gate)
    world.commit(work)
    done = push(work)
    assert done.returncode != 0
    assert "remote: not on a Friday" in done.stderr
    assert "remote: git-gate: refused (upstream): refs/heads/x: [remote rejected]" in done.stderr
    assert gate.mirror_refs() == git(world.upstream, "for-each-ref").stdout
    assert gate.audit()[-1]["reason"] == "upstream"


def test_one_of_two_refused_upstream_refuses_both(world: World) -> None:
    world.hook("update", 'test "$1" != refs/heads/b')
    work = world.checkout(world.gate())
    world.commit(work)
    done = git(work, "push", "origin", "HEAD:a", "HEAD:b", check=False)
    assert done.returncode != 0
    assert not world.upstream_ref("refs/heads/a")


def test_upstreams_messages_are_heard(world: World) -> None:
    world.hook("post-receive", r"printf 'see \033[31mhttp://forge/new\n' >&2")
    work = world.checkout(world.gate())
    world.commit(work)
    done = push(work)
    assert done.returncode == 0
    assert "remote: see ?[31mhttp://forge/new" in done.stderr


DEATHS = {
    "before-the-update": ("pre-receive", "kill -9 $PPID"),
    "after-the-update": ("reference-transaction", 'test "$1" != committed || kill -9 $PPID'),
}


@pytest.mark.parametrize("moment", DEATHS)
def test_upstream_dies_midway(world: World, moment: str) -> None:
    world.hook(*DEATHS[moment])
    work = world.checkout(world.gate())
    new = world.commit(work)
    done = push(work)
    assert done.returncode != 0
    assert "remote: git-gate: refused (upstream)" in done.stderr
    (world.upstream / "hooks" / DEATHS[moment][0]).unlink()
    assert world.upstream_ref("refs/heads/x") == (new if moment == "after-the-update" else "")
    git(work, "fetch", "--quiet")
    again = push(work)
    assert again.returncode == 0


def test_the_gate_ends_midway(world: World) -> None:
    fifo, reached = world.tmp / "fifo", world.tmp / "reached"
    os.mkfifo(fifo)
    world.hook("pre-receive", f"touch {reached}; read x < {fifo}; exit 1")
    gate = world.gate()
    work = world.checkout(gate)
    world.commit(work)
    results: list[subprocess.CompletedProcess[str]] = []
    thread = threading.Thread(target=lambda: results.append(push(work)))
    thread.start()
    wait_for(reached.exists, "upstream's hook")
    gate.stop()
    thread.join()
    fifo.write_text("go\n")
    assert results[0].returncode != 0
    assert "new branch" not in results[0].stderr
    assert not _processes_in(gate.spec.cache_dir)


_MAIN = """
import asyncio, pickle, socket, sys
from sidecars.git_gate.service import serve
spec = pickle.load(sys.stdin.buffer)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    asyncio.run(serve(spec, [listener], on_ready=lambda: print("ready", flush=True)))
"""


def test_a_gate_of_its_own_process_ends_with_all_its_children(world: World) -> None:
    gate = world.gate()
    work = world.checkout(gate)
    gate.stop()
    world.commit(work)
    fifo, reached = world.tmp / "fifo", world.tmp / "reached"
    os.mkfifo(fifo)
    world.hook("pre-receive", f"touch {reached}; read x < {fifo}; exit 1")
    argv = [sys.executable, "-c", _MAIN, str(gate.port)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(pickle.dumps(gate.spec))
        process.stdin.close()
        assert process.stdout.readline() == b"ready\n"
        client = subprocess.Popen(
            ["git", "push", "--quiet", "origin", "HEAD:x"], cwd=work, env=clean_env(work)
        )
        wait_for(reached.exists, "upstream's hook")
        process.terminate()
        assert process.wait(20) == 0
    assert client.wait(20) != 0
    fifo.write_text("go\n")
    assert not _processes_in(gate.spec.cache_dir)


def _processes_in(directory: Path) -> list[str]:
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, env=clean_env(directory))
    return [line for line in listing.stdout.splitlines() if str(directory) in line]


def test_the_client_leaves_midway(world: World) -> None:
    """The push still runs to its end, so that the record says what became of it."""
    fifo, reached = world.tmp / "fifo", world.tmp / "reached"
    os.mkfifo(fifo)
    world.hook("pre-receive", f"touch {reached}; read x < {fifo}")
    gate = world.gate()
    work = world.checkout(gate)
    new = world.commit(work)
    argv = ["git", "push", "--quiet", "origin", "HEAD:x"]
    client = subprocess.Popen(argv, cwd=work, env=clean_env(work), start_new_session=True)
    wait_for(reached.exists, "upstream's hook")
    os.killpg(client.pid, 9)
    client.wait()
    fifo.write_text("go\n")
    wait_for(lambda: [line for line in gate.audit() if line["reason"] == "pushed"], "the record")
    assert world.upstream_ref("refs/heads/x") == new


def test_upstream_is_down(world: World) -> None:
    work = world.checkout(world.gate())
    world.commit(work)
    port = free_port()
    down = world.gate(upstream=world.remote.upstream.replace(str(world.sshd.port), str(port)))
    for done in (push(work, to=down.url()), git(world.tmp, "clone", down.url(), "other", check=False)):
        assert done.returncode != 0
        assert (
            "refused (upstream): asking upstream for its refs failed: upstream refused the connection"
            in done.stderr
        )


def test_a_wrong_host_key_is_refused(world: World, tmp_path: Path) -> None:
    other = keygen(tmp_path / "other").with_suffix(".pub").read_text().strip()
    done = git(world.tmp, "clone", world.gate(known_host_key=other).url(), "work", check=False)
    assert done.returncode != 0
    assert "upstream's host key is not the pinned one" in done.stderr
    assert str(world.tmp / "cache0") not in done.stderr


def test_a_wrong_identity_is_refused_and_not_named(world: World, tmp_path: Path) -> None:
    gate = world.gate(identity_file=keygen(tmp_path / "stranger"))
    done = git(world.tmp, "clone", gate.url(), "work", check=False)
    assert "upstream does not accept the gate's key" in done.stderr
    assert "stranger" not in done.stderr


def test_a_missing_repository(world: World) -> None:
    gate = world.gate(upstream=world.remote.upstream.replace("repo.git", "none.git"))
    assert "upstream has no such repository" in git(world.tmp, "clone", gate.url(), "w", check=False).stderr


def test_a_mirror_is_kept_and_mended(world: World) -> None:
    first = world.gate()
    first.stop()
    mirror = first.spec.cache_dir / "origin.git"
    (mirror / "packed-refs.lock").touch()
    (mirror / "objects" / "tmp_objdir-incoming-x").mkdir()
    shutil.copytree(first.spec.cache_dir, world.tmp / "cache1", symlinks=True)
    world.commit(world.tmp / "seed", content="more\n")
    git(world.tmp / "seed", "push", "--quiet", str(world.upstream), "main", "main:other")
    second = world.gate()
    assert (world.clone(second, "again") / "file").read_text() == "more\n"
    assert not list((world.tmp / "cache1").rglob("*incoming*"))
