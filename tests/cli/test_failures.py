"""What a command says when the machine refuses it: one line and a hint, never a traceback."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from bottlemux.cli import dispatch
from bottlemux.errors import UsageError
from tests.e2e.world import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.world import World


def assert_one_line(stderr: str) -> None:
    first, *rest = stderr.splitlines()
    assert first.startswith("bottlemux: error: ")
    assert all(line.startswith("hint: ") for line in rest)


@pytest.mark.parametrize("state", ["/proc/nowhere", "/dev/null/state"])
def test_a_state_directory_that_cannot_be_made(world: World, state: str) -> None:
    done = world.try_run("start", "shell", "--yes", "--detach", BOTTLEMUX_STATE_DIR=state)
    assert done.returncode == 1
    assert_one_line(done.stderr)


def run_where_nothing_is(world: World, directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a directory that was removed meanwhile."""
    directory.mkdir()
    script = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
    return subprocess.run(
        ["/bin/sh", "-c", script, "sh", str(directory), *world.argv(*words)],
        capture_output=True, encoding="utf-8", env=world.environ, check=False, timeout=60,
    )  # fmt: skip


def test_a_directory_that_is_gone_keeps_only_start_from_working(
    world: World, slug: str, tmp_path: Path
) -> None:
    assert slug in run_where_nothing_is(world, tmp_path / "gone", "status").stdout
    assert run_where_nothing_is(world, tmp_path / "gone", "exec", slug, "--", "echo", "in").stdout == "in\n"
    done = run_where_nothing_is(world, tmp_path / "gone", "start", "shell", "--dry-run")
    assert done.returncode == 2
    assert_one_line(done.stderr)
    assert "is not a directory" in done.stderr


@pytest.mark.parametrize(
    ("mode", "words", "told"),
    [
        (0o555, [], "you may not write in"),
        (0o555, ["--workspace", "copy"], ""),
        (0o300, ["--workspace", "copy"], "you may not read"),
    ],
    ids=["mounted", "copied", "unreadable"],
)
def test_a_directory_that_is_not_ours_to_use(
    world: World, tmp_path: Path, mode: int, words: list[str], told: str
) -> None:
    project = tmp_path / "project"
    project.mkdir(mode=mode)
    # Root without the capability to pass over modes is a user like any other; no warm process has it either.
    environ = {**world.environ, "BOTTLEMUX_STATE_DIR": str(tmp_path / "state")}
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    done = subprocess.run(
        [*drop, *world.argv("start", "shell", "--dry-run", "--cwd", str(project), *words)],
        cwd=world.project, env=environ, capture_output=True, encoding="utf-8", check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == (2 if told else 0), done.stderr
    if told:
        assert_one_line(done.stderr)
        assert f"{told} '{project}'" in done.stderr


@pytest.mark.usefixtures("slug")
def test_a_directory_whose_name_is_not_text_is_refused_before_anything_is_made(
    world: World, tmp_path: Path
) -> None:
    directory = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(directory)  # noqa: PTH102
    before = set((world.state / "bottles").iterdir())
    done = world.try_run("start", "shell", "--yes", "--detach", "--cwd", os.fsdecode(directory))
    assert done.returncode == 2
    assert_one_line(done.stderr)
    assert "the name of the directory is not text" in done.stderr
    assert set((world.state / "bottles").iterdir()) == before


def test_a_mistake_of_our_own_is_one_line_without_what_was_worked_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_words: list[str]) -> int:
        raise ValueError("s3cret")

    monkeypatch.setattr(dispatch, "_run", fail)
    assert dispatch.run_here(["status"]) == 1
    printed = capsys.readouterr().err
    assert_one_line(printed)
    assert "unexpected ValueError at test_failures.py:" in printed
    assert "s3cret" not in printed


def test_every_mistake_and_every_line_of_a_hint_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    error = UsageError(
        "a.md:1: x", also=["a.md:2: \x1by"], hint="write instead:\n    a: b\x1b", topic="state"
    )
    assert dispatch.report(error) == 2
    assert capsys.readouterr().err.splitlines() == [
        "bottlemux: error: a.md:1: x",
        "also: a.md:2: \\x1by",
        "hint: write instead:",
        "          a: b\\x1b",
        "hint: more: bottlemux help state",
    ]


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_words: list[str]) -> int:
        raise OSError(28, "No space left on device", "/state/metadata.json")

    monkeypatch.setattr(dispatch, "_run", fail)
    assert dispatch.run_here(["status"]) == 1
    assert "'/state/metadata.json': No space left on device" in capsys.readouterr().err


def test_a_link_in_place_of_the_directory_is_not_followed_by_resume(world: World, tmp_path: Path) -> None:
    """An agent that has the directory above could put one there, to anything of the operator's."""
    project = tmp_path / "above" / "project"
    project.mkdir(parents=True)
    slug = world.start("shell", "--cwd", str(project))
    world.run("stop", slug)
    project.rmdir()
    (tmp_path / "private").mkdir()
    project.symlink_to(tmp_path / "private")
    done = world.try_run("resume", slug, "--detach")
    assert done.returncode == 2
    assert "is now a link to" in done.stderr
    assert not list((tmp_path / "private").iterdir())


def test_a_bottle_with_a_broken_record_can_be_stopped_and_removed(world: World) -> None:
    slug = world.start("shell")
    (world.bottle(slug) / "metadata.json").write_text("{")
    assert world.status(slug)["state"] == "broken"
    assert world.run("stop", slug) == f"{slug}: stopped\n"
    done = world.try_run("resume", slug)
    assert done.returncode == 1
    assert "hint: `bottlemux rm" in done.stderr
    assert world.run("rm", slug) == f"{slug}: removed\n"


def test_a_start_that_was_killed_while_copying_begins_anew(world: World, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/file").write_text("whole")
    slug = world.start("shell", "--cwd", str(tmp_path / "project"), "--workspace", "copy")
    world.run("stop", slug)
    state = world.bottle(slug)
    for path in (state / "routes.json", state / "workspace/file", *(state / "logs").iterdir()):
        path.unlink()
    (state / "workspace/part").write_text("half")
    world.run("resume", slug, "--detach")
    assert world.run("exec", slug, "--", "ls") == "file\n"


def test_what_an_agent_made_survives_resume(world: World, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    slug = world.start("shell", "--cwd", str(tmp_path / "project"), "--workspace", "copy")
    world.run("exec", slug, "--", "touch", "made", "/home/node/kept")
    world.run("stop", slug)
    world.run("resume", slug, "--detach")
    assert world.run("exec", slug, "--", "ls", "/workspace", "/home/node").split() == [
        "/home/node:", "kept", "/workspace:", "made",
    ]  # fmt: skip


def test_listings_stay_a_line_whatever_a_directory_is_called(world: World, tmp_path: Path) -> None:
    project = tmp_path / "one\ntwo\t\x1b[2J"
    project.mkdir()
    slug = world.start("shell", "--cwd", str(project))
    world.run("stop", slug)
    (row,) = [line for line in world.run("list", "resumable").splitlines() if slug in line]
    assert row.split("\t")[3].endswith("one\\ntwo\\t\\x1b[2J")


def test_cleanup_works_without_tmux(world: World, tmp_path: Path) -> None:
    for program in ("bwrap", "git"):
        (tmp_path / program).symlink_to(shutil.which(program) or "/nowhere")
    done = world.try_run("cleanup", "--yes", PATH=str(tmp_path))
    assert done.returncode == 0
    assert "tmux is not installed" in done.stderr


@pytest.mark.usefixtures("slug")
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name
)
def test_an_interrupted_start_leaves_nothing(world: World, number: signal.Signals) -> None:
    bottles = world.state / "bottles"
    before = set(bottles.iterdir())
    with subprocess.Popen(
        world.argv("start", "shell", "--yes", "--detach"), cwd=world.project, env=world.environ,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    ) as starting:  # fmt: skip
        until(lambda: set(bottles.glob("shell-*")) - before, "the record of a bottle")
        starting.send_signal(number)
        _, stderr = starting.communicate(timeout=60)
    assert (starting.returncode, stderr) == (130, "bottlemux: interrupted: nothing is left of the start\n")
    assert set(bottles.iterdir()) == before
    assert {path.name for path in (world.state / "run").iterdir() if path.is_dir()} <= {
        path.name for path in before
    }


def test_an_interruption_that_comes_too_late_names_what_runs(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bottlemux.cli import console

    @contextlib.contextmanager
    def late(_text: str) -> Iterator[None]:
        yield
        raise KeyboardInterrupt

    for name, value in world.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(world.project)
    monkeypatch.setattr(console, "progress", late)
    assert dispatch.run_here(["start", "shell", "--yes", "--detach"]) == 130
    printed = capsys.readouterr()
    slug = printed.out.splitlines()[-1]
    assert printed.err == f"bottlemux: interrupted: too late, it has started: bottlemux stop {slug} ends it\n"
    world.run("stop", slug)


def test_an_interrupted_stop_says_what_runs_and_the_same_command_goes_on(world: World) -> None:
    slugs = [world.start("shell"), world.start("shell")]
    bottle = world.report(slugs[0])
    os.kill(bottle["supervisor_pid"], signal.SIGSTOP)
    with subprocess.Popen(
        world.argv("stop", *slugs), cwd=world.project, env=world.environ,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    ) as stopping:  # fmt: skip
        until((world.bottle(slugs[0]) / "stopped").exists, "the end that was asked for")
        stopping.send_signal(signal.SIGINT)
        printed, stderr = stopping.communicate(timeout=60)
    os.kill(bottle["supervisor_pid"], signal.SIGCONT)
    assert (stopping.returncode, printed) == (130, "")
    assert stderr == (
        f"bottlemux: interrupted: {slugs[0]} runs, {slugs[1]} as before; "
        "the same command goes on; bottlemux status and cleanup show what is left\n"
    )
    assert world.run("stop", *slugs) == "".join(f"{slug}: stopped\n" for slug in slugs)
