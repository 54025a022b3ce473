"""What is the user's in tmux is the same before and after: keys, options, hooks and environment, of every scope."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.world import World, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux]

_CONF = """
set -g prefix C-a
set -g mouse off
set -g status-right "#(echo mine)"
set -g default-command "exec /bin/sh"
set -g base-index 1
set -g destroy-unattached off
set -g @mine "a ; b"
set -g set-titles on
set-hook -g after-new-window 'display-message made'
set-environment -g MINE value
bind -N "my 'note'" b display-message "a; b" \\; next-window
bind -n F5 kill-pane
bind -T copy-mode-vi v send -X begin-selection
"""
_EVERYWHERE = (
    ("list-keys",), ("list-keys", "-a", "-N"), ("show-options", "-s"), ("show-options", "-g"),
    ("show-options", "-g", "-w"), ("show-hooks", "-g"), ("show-hooks", "-g", "-w"), ("show-environment", "-g"),
)  # fmt: skip
_THEIRS = (
    ("show-options", "-t", "=work:"), ("show-options", "-w", "-t", "=work:"), ("show-options", "-p", "-t", "=work:"),
    ("show-hooks", "-t", "=work:"), ("show-hooks", "-w", "-t", "=work:"), ("show-environment", "-t", "=work:"),
    ("list-windows", "-t", "=work:", "-F", "#{window_id} #{window_name} #{window_layout}"),
    ("list-panes", "-s", "-t", "=work:", "-F", "#{pane_id} #{pane_pid}"), ("list-buffers",),
)  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    user = World(tmp_path / "user")
    user.manifest("bottles", "quiet", "supervise: false", "Nothing out.")
    user.manifest("agents", "shell", "bottle: quiet\nprogram: [bash, --norc]\nlayout: default", "A shell.")
    (user.home / ".tmux.conf").write_text(_CONF)
    user.tmux("new-session", "-d", "-s", "work", "-x", "120", "-y", "40", "sleep", "1000")
    user.tmux("set-option", "-t", "=work:", "status", "2")
    user.tmux("set-option", "-p", "-t", "=work:", "@pane", "p")
    yield user
    user.close()


def _everything(world: World) -> dict[tuple[str, ...], str]:
    return {listing: world.tmux(*listing) for listing in (*_EVERYWHERE, *_THEIRS)}


def test_installing_and_uninstalling_keys_leaves_no_trace(world: World) -> None:
    before = _everything(world)
    conf = (world.home / ".tmux.conf").read_bytes()
    world.run("keys", "install", "--conf", "--yes")
    assert _everything(world) != before
    world.run("keys", "uninstall")
    assert _everything(world) == before
    assert (world.home / ".tmux.conf").read_bytes() == conf


def test_a_whole_life_of_the_workspace_leaves_no_trace(world: World) -> None:
    before = _everything(world)
    world.run("keys", "install")
    slug = world.start("shell")
    other = world.start("shell", "--layout", "wide")
    assert _theirs(world) == {listing: before[listing] for listing in _THEIRS}
    world.run("layout", "apply", "review", "--slug", slug)
    world.run("layout", "save", "mine", "--slug", slug)
    world.run("keys", "act", "zoom", "--client=none", "--pane=%0", f"--slug={other}")
    world.run("stop", other)
    world.run("resume", other, "--detach")
    world.run("stop", "--all")
    world.run("rm", slug)
    world.run("keys", "uninstall")
    until(lambda: "bottlemux" not in world.tmux("list-sessions"), "the end of the session")
    assert _everything(world) == before


def _theirs(world: World) -> dict[tuple[str, ...], str]:
    return {listing: world.tmux(*listing) for listing in _THEIRS}
