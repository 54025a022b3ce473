"""The commands with a real bottle, one that the tests share."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from bottlemux.cli import selection
from bottlemux.errors import BottlemuxError, UnavailableError
from bottlemux.lifecycle.context import Context
from tests.e2e.world import until

if TYPE_CHECKING:
    from tests.e2e.world import World

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux]


def test_start_prints_the_slug_last(slug: str) -> None:
    assert re.fullmatch(r"shell-[0-9a-z]{5}", slug)


def test_list_active_is_tab_separated(world: World, slug: str) -> None:
    rows = [line.split("\t") for line in world.run("list", "active").splitlines()]
    row = next(row for row in rows if row[1] == slug)
    assert (row[0], row[2]) == ("bubblewrap", "shell")
    assert "egress" in row[3].split(",")


def test_status_is_one_json_document(world: World, slug: str) -> None:
    row = world.status(slug)
    assert row["state"] in {"starting", "working", "idle"}
    assert row["memory_bytes"] > 1_000_000
    assert row["services"]["egress"] == "running"


def test_info_shows_the_resolved_agent(world: World) -> None:
    printed = world.run("info", "shell")
    assert str(world.config / "agents" / "shell.md") in printed
    assert "network    nothing" in printed


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 7", 7), ("kill -TERM $$", 143), ("true", 0)],
    ids=["code", "signal", "success"],
)
def test_exec_passes_the_exit_code(world: World, slug: str, script: str, code: int) -> None:
    assert world.try_run("exec", slug, "--", "sh", "-c", script).returncode == code


def test_exec_passes_the_streams(world: World, slug: str) -> None:
    done = world.try_run("exec", slug, "--", "sh", "-c", "cat; echo bad >&2", stdin="in\n")
    assert (done.stdout, done.stderr) == ("in\n", "bad\n")


def test_exec_as_another_user_is_refused(world: World, slug: str) -> None:
    done = world.try_run("exec", slug, "--user", "root", "--", "id")
    assert done.returncode == 2
    assert "only the user 'node'" in done.stderr


def test_a_unique_prefix_names_a_bottle(world: World, slug: str) -> None:
    assert world.run("exec", slug[:-1], "--", "echo", "here") == "here\n"


def test_the_layout_is_the_configurations_where_nobody_says_another(world: World) -> None:
    settings = world.config / "config.toml"
    settings.write_text('layout = "solo"\n')
    world.manifest("agents", "wide", "bottle: quiet\nprogram: [bash]\nlayout: default")
    try:
        shown = [
            re.findall(r"^ *layout +(\S+)", world.run("start", "--dry-run", *words), re.MULTILINE)
            for words in (["shell"], ["wide"], ["shell", "--layout", "review"])
        ]
    finally:
        settings.unlink()
    assert shown == [["solo"], ["default"], ["review"]]


def test_an_audit_with_a_torn_line_is_a_document(world: World) -> None:
    bottle = world.bottle("torn-00000")
    bottle.mkdir(parents=True)
    whole = '{"ts":"2020-01-01T00:00:00.000Z","decision":"block"}'
    (bottle / "audit.jsonl").write_text(f"{whole[:9]}\n\n{whole}\n")
    assert json.loads(world.run("audit", "torn-00000", "--json")) == [json.loads(whole)]
    shutil.rmtree(bottle)


def test_the_name_of_a_tmux_server_may_be_that_of_a_command(world: World) -> None:
    assert world.run("--socket-name", "list", "status", "--help") == world.run("status", "--help")
    done = world.try_run("--socket-name", "list", "no-such-command")
    assert (done.returncode, "no-such-command" in done.stderr) == (2, True)


def test_a_refusal_is_in_the_audit(world: World, slug: str) -> None:
    answer = world.run("exec", slug, "--", "curl", "-s", "-D", "-", "http://example.com/?secret=1")
    assert "x-bottlemux-block: host-not-allowed" in answer.lower()
    assert json.loads(answer.splitlines()[-1])["error"] == "blocked"
    printed = until(lambda: world.run("audit", slug), "an audit line")
    assert "example.com:80" in printed
    assert "secret" not in printed
    record = json.loads(world.run("audit", slug, "--json"))[-1]
    assert (record["decision"], record["reason"]) == ("block", "host-not-allowed")
    assert world.status(slug)["blocked"] >= 1


def test_logs_name_their_service(world: World, slug: str) -> None:
    assert world.try_run("logs", slug).returncode == 0
    done = world.try_run("logs", slug, "nosuch")
    assert done.returncode == 4
    assert "no log 'nosuch'" in done.stderr


def test_a_reader_that_goes_away_is_no_error(world: World, slug: str) -> None:
    command = " ".join(world.argv("audit", slug))
    done = subprocess.run(
        ["sh", "-c", f"{command} | head -n 0"], env=world.environ, capture_output=True, timeout=30
    )
    assert b"Traceback" not in done.stderr


def test_rm_refuses_a_running_bottle(world: World, slug: str) -> None:
    done = world.try_run("rm", slug)
    assert done.returncode == 1
    assert f"bottlemux stop {slug}" in done.stderr


def test_stop_resume_rm(world: World) -> None:
    other = world.start("shell", "--workspace", "copy")
    world.run("exec", other, "--", "sh", "-c", "echo kept > ~/note")
    assert world.run("stop", other) == f"{other}: stopped\n"
    assert world.status(other)["state"] == "exited"
    assert other in world.run("list", "resumable")
    assert "would be started again" in world.run("resume", other, "--dry-run")
    assert "started again" in world.run("resume", other, "--detach")
    assert world.run("exec", other, "--", "cat", "/home/node/note") == "kept\n"
    world.run("stop", other)
    assert world.run("rm", other) == f"{other}: removed\n"
    assert other not in world.run("list", "resumable")


def test_a_bottle_in_the_way_of_all_stops_no_other(world: World, slug: str) -> None:
    done = world.try_run("resume", slug, "nope-00000", "--detach")
    assert done.returncode == 4


def test_rm_all_removes_what_has_ended_and_not_without_a_question(world: World, slug: str) -> None:
    ended = [world.start("shell") for _ in range(2)]
    world.run("stop", *ended)
    assert "no terminal to confirm on" in world.try_run("rm", "--all").stderr
    assert all(world.bottle(one).exists() for one in ended)
    assert world.run("rm", "--all", "--yes") == "".join(f"{one}: removed\n" for one in sorted(ended))
    assert world.run("exec", slug, "--", "echo", "runs") == "runs\n"


@pytest.mark.parametrize("command", ["stop", "rm", "resume", "prompt"])
def test_with_an_unknown_name_nothing_is_done(world: World, slug: str, command: str) -> None:
    """What the help of each says of several bottles."""
    assert " ".join(selection.RULE.split()) in " ".join(world.run(command, "--help").split())
    text = ["echo no"] if command == "prompt" else []
    done = world.try_run(command, slug, "nope-00000", *text)
    assert (done.returncode, done.stdout) == (4, "")
    assert world.run("exec", slug, "--", "echo", "runs") == "runs\n"


def test_the_exit_code_is_that_of_the_first_failure(capsys: pytest.CaptureFixture[str]) -> None:
    failures = {"b": UnavailableError("no engine"), "c": BottlemuxError("c is running")}

    def act(identity: str) -> str:
        if identity in failures:
            raise failures[identity]
        return "done"

    assert selection.carry_on(Context.current(), ["a", "b", "c", "d"], act) == 3
    printed = capsys.readouterr()
    assert printed.out == "a: done\nd: done\n"
    assert printed.err == "bottlemux: error: b: no engine\nbottlemux: error: c is running\n"


def test_nothing_is_left_to_clean_up(world: World, slug: str) -> None:
    assert world.run("cleanup", "--yes") == "nothing to clean up\n"


def test_rm_goes_on_after_a_bottle_that_cannot_be_removed(world: World, slug: str) -> None:
    other = world.start("shell", "--workspace", "copy")
    world.run("stop", other)
    done = world.try_run("rm", slug, other)
    assert done.returncode == 1
    assert done.stdout == f"{other}: removed\n"
    assert f"{slug} is running" in done.stderr


def test_the_battery_ends_with_a_summary(world: World, slug: str) -> None:
    *rows, summary = world.run("doctor", "--battery", slug).splitlines()
    outcomes = [row.split()[0] for row in rows[1:]]
    held, skipped = outcomes.count("held"), outcomes.count("skipped")
    assert held + skipped == len(outcomes)
    assert summary.startswith(f"{held} held, 0 failed, {skipped} skipped (")
    assert "network.loopback: no port of the host was named" in summary


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("0", "1 held, 1 failed (kernel.b), 0 skipped\n"),
        ("7", "bottlemux: error: the battery does not run to its end"),
    ],
    ids=["an attack that worked", "ended early"],
)
def test_a_battery_that_fails_is_seen(world: World, ending: str, told: str) -> None:
    slug = world.start("shell", "--workspace", "copy")
    rows = [
        json.dumps({"id": f"kernel.{name}", "attempt": "", "expected": "", "outcome": outcome, "detail": ""})
        for name, outcome in (("a", "held"), ("b", "broken"))
    ]
    script = f"#!/bin/sh\ncat <<end\n{'\n'.join(rows)}\nend\nexit {ending}\n"
    place = "mkdir -p ~/.local/bin; cat > ~/.local/bin/python3; chmod +x ~/.local/bin/python3"
    world.run("exec", slug, "--", "sh", "-c", place, stdin=script)
    done = world.try_run("doctor", "--battery", slug)
    assert done.returncode == 1
    assert told in done.stdout + done.stderr
    world.run("stop", slug)


def test_the_preflight_names_the_layout_and_who_has_the_directory_too(world: World, slug: str) -> None:
    def preflight(*words: str) -> list[str]:
        return world.run("start", "shell", "--dry-run", "--layout", "review", *words).splitlines()

    sharing = f"           {slug} has it mounted, too"
    workspace = f"workspace  mount of {world.project}"
    assert preflight()[3:6] == [workspace, sharing, "layout     review"]
    other = world.home / "other"
    other.mkdir()
    for elsewhere in (("--workspace", "copy"), ("--cwd", str(other))):
        assert sharing not in preflight(*elsewhere)
