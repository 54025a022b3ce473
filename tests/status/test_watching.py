"""What the windows show while bottles work, and what the operator is told."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import pytest

from bottlemux.lifecycle.context import Context
from bottlemux.lifecycle.notices import Changes, Notice
from bottlemux.lifecycle.status import BottleStatus, who_waits
from bottlemux.lifecycle.watching import Watcher
from bottlemux.paths import Paths
from tests.e2e.world import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.world import World


def context_of(world: World) -> Context:
    return Context(Paths.from_environ(world.environ), world.environ, world.project, world.socket)


def report(world: World, slug: str, event: str) -> None:
    argv = ["curl", "-s", "--noproxy", "*", "-d", event, "http://supervise:9100/report"]
    world.run("exec", slug, "--", *argv)


def window(world: World, slug: str, field: str) -> str:
    return world.tmux("display-message", "-p", "-t", world.pane_id(slug), f"#{{{field}}}").strip()


@contextlib.contextmanager
def watching(world: World) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=Watcher(context_of(world)).watch, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def watched(shell: World) -> Iterator[World]:
    with watching(shell):
        yield shell


@pytest.mark.bwrap
@pytest.mark.tmux
def test_the_window_shows_what_the_program_reports(watched: World) -> None:
    slug = watched.start("shell")
    report(watched, slug, '{"event": "PermissionRequest", "tool": "Bash"}')
    until(lambda: window(watched, slug, "window_name") == f"? {slug}", "the mark of waiting")
    assert window(watched, slug, "@bottlemux_status") == "waiting"
    assert watched.status(slug)["reason"] == "asks for permission to use Bash"
    assert watched.status(slug)["source"] == "program"
    waiting = ("show-options", "-v", "-t", "=bottlemux:", "@bottlemux_waiting")
    until(lambda: watched.tmux(*waiting).strip() == "1", "the count for the status line")

    watched.tmux("rename-window", "-t", watched.pane_id(slug), "my work")
    until(lambda: window(watched, slug, "window_name") == "? my work", "the user's name with the mark")
    report(watched, slug, '{"event": "Stop"}')
    until(lambda: window(watched, slug, "window_name") == "✓ my work", "the mark of finished")
    until(lambda: not watched.tmux(*waiting).strip(), "no count")

    watched.tmux("send-keys", "-t", watched.pane_id(slug), "exit", "Enter")
    until(lambda: window(watched, slug, "@bottlemux_status") == "exited", "the end of the program")
    assert not watched.tmux("show-options", "-g", "@bottlemux_waiting")


@pytest.mark.bwrap
@pytest.mark.tmux
def test_nothing_stays_when_nobody_watches_any_more(shell: World) -> None:
    with watching(shell):
        slug = shell.start("shell")
        report(shell, slug, '{"event": "PermissionRequest", "tool": "Bash"}')
        until(lambda: window(shell, slug, "window_name") == f"? {slug}", "the mark of waiting")
    assert window(shell, slug, "window_name") == slug


@pytest.mark.bwrap
@pytest.mark.tmux
def test_a_new_run_of_the_program_does_not_inherit_its_state(watched: World) -> None:
    slug = watched.start("shell")
    report(watched, slug, '{"event": "PermissionRequest", "tool": "Bash"}')
    until(lambda: watched.status(slug)["state"] == "waiting", "waiting")
    watched.tmux("send-keys", "-t", watched.pane_id(slug), "exit", "Enter")
    until(lambda: watched.status(slug)["state"] == "exited", "the end")
    watched.run("resume", slug, "--detach")
    assert watched.status(slug)["state"] in {"starting", "working", "idle"}


@pytest.mark.bwrap
@pytest.mark.tmux
def test_one_bottle_cannot_report_for_another(watched: World) -> None:
    one, other = watched.start("shell"), watched.start("shell")
    report(watched, one, '{"event": "PermissionRequest", "tool": "Bash", "session": "x"}')
    until(lambda: watched.status(one)["state"] == "waiting", "waiting")
    assert watched.status(other)["state"] != "waiting"
    assert not (watched.bottle(other) / "activity.json").exists()


def row(slug: str, state: str, since: str = "t0", asks: int = 0) -> BottleStatus:
    return BottleStatus(slug, "a", "bubblewrap", state, "why\x1b[2J", "program", since, open_proposals=asks)  # type: ignore[arg-type]


def test_who_waits_comes_before_who_finished() -> None:
    rows = [row("a-00000", "working"), row("b-00000", "finished"), row("c-00000", "waiting"),
            row("d-00000", "working", asks=1), row("e-00000", "exited", asks=1)]  # fmt: skip
    assert who_waits(rows) == {"c-00000", "d-00000"}
    assert who_waits(rows[:2]) == {"b-00000"}
    assert who_waits(rows, other_than="c-00000") == {"d-00000"}
    assert who_waits(rows[:1]) == set()


def test_only_what_is_new_is_told() -> None:
    changes = Changes()
    assert changes.after([row("a-00000", "waiting")], 0) == []
    assert changes.after([row("a-00000", "waiting")], 1) == []
    assert changes.after([row("a-00000", "working")], 2) == []
    (notice,) = changes.after([row("a-00000", "waiting", "t1")], 3)
    assert (notice.slug, "waiting" in notice.text, "\x1b" in notice.text) == ("a-00000", True, False)
    (asks,) = changes.after([row("a-00000", "waiting", "t1", 1)], 20)
    assert asks == Notice("a-00000", "")
    assert changes.after([row("a-00000", "finished", "t2", 1)], 40) == []


def test_an_agent_cannot_ring_without_end() -> None:
    changes = Changes()
    changes.after([row("a-00000", "working"), row("b-00000", "working")], 0)
    told = [
        notice.slug
        for number in range(100)
        for notice in changes.after(
            [
                row("a-00000", ("waiting", "working")[number % 2], f"t{number}"),
                row("b-00000", "waiting", "t"),
            ],
            number / 5,
        )
    ]
    assert told.count("a-00000") == 2
    assert told.count("b-00000") == 1


def test_ended_turns_are_told_of_where_that_is_wanted() -> None:
    changes = Changes(finished=True)
    changes.after([row("a-00000", "working")])
    assert [notice.slug for notice in changes.after([row("a-00000", "finished")])] == ["a-00000"]


@pytest.mark.bwrap
@pytest.mark.tmux
def test_what_the_user_moves_is_on_record_without_a_command(watched: World) -> None:
    slug = watched.start("shell")
    watched.tmux("resize-pane", "-t", watched.pane_id(slug), "-x", "33")
    watched.tmux("select-pane", "-t", watched.pane_id(slug, "audit"))
    before = watched.tmux("list-panes", "-t", watched.pane_id(slug), "-F", "#{pane_width} #{pane_active}")
    record = watched.bottle(slug) / "window.json"
    until(lambda: '"role": "audit",\n        "focus": true' in record.read_text(), "the record of the focus")
    watched.tmux("kill-server")
    watched.run("resume", "--all", "--detach")
    assert (
        watched.tmux("list-panes", "-t", watched.pane_id(slug), "-F", "#{pane_width} #{pane_active}")
        == before
    )
