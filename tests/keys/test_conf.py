"""The lines in tmux.conf: what they do, and that taking them out leaves the file byte for byte as it was."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottlemux.errors import BottlemuxError
from bottlemux.session import tmux_conf
from tests.e2e.world import World, until

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = "run-shell -b 'true'"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="absent"),
        pytest.param(b"", id="empty"),
        pytest.param(b"set -g mouse on\n", id="usual"),
        pytest.param(b"set -g mouse on", id="no-line-end"),
        pytest.param(b"\n\n", id="blank"),
        pytest.param(b"caf\xe9 \xff\r\n", id="no-utf-8"),
        pytest.param(b"a\nrun-shell -b 'true'", id="same-command"),
    ],
)
def test_in_and_out_again(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "tmux.conf"
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o640)
    addition = tmux_conf.planned(path, LINE)
    assert not path.exists() or path.read_bytes() == content
    tmux_conf.add(addition)
    assert path.read_bytes().split(b"\n")[-2] == LINE.encode()
    assert path.read_bytes().startswith(content or b"")
    again = tmux_conf.Addition.from_json(addition.to_json())
    assert tmux_conf.is_there(again)
    tmux_conf.remove(again)
    assert (path.read_bytes() if path.exists() else None) == content
    assert content is None or path.stat().st_mode & 0o777 == 0o640


@given(before=st.binary(max_size=20), after=st.binary(max_size=20), made=st.booleans())
def test_what_was_written_around_them_stays(
    tmp_path_factory: pytest.TempPathFactory, before: bytes, after: bytes, made: bool
) -> None:
    path = tmp_path_factory.mktemp("conf") / "tmux.conf"
    if not made:
        path.write_bytes(before)
    addition = tmux_conf.planned(path, LINE)
    tmux_conf.add(addition)
    head = b"" if made else before
    path.write_bytes(path.read_bytes() + after)
    tmux_conf.remove(addition)
    found = path.read_bytes() if path.exists() else b""
    gap = b"\n" if after and head and not head.endswith(b"\n") else b""
    assert found == head + gap + after


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    target = tmp_path / "dotfiles" / "tmux.conf"
    target.write_text("set -g mouse on\n")
    path = tmp_path / ".tmux.conf"
    path.symlink_to(target)
    addition = tmux_conf.planned(path, LINE)
    tmux_conf.add(addition)
    assert LINE in target.read_text()
    tmux_conf.remove(addition)
    assert (path.is_symlink(), target.read_text()) == (True, "set -g mouse on\n")


def test_what_cannot_be_written_says_so(tmp_path: Path) -> None:
    path = tmp_path / "tmux.conf"
    path.mkdir()
    with pytest.raises(BottlemuxError, match="cannot be read"):
        tmux_conf.planned(path, LINE)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ([], ".tmux.conf"),
        ([".config/tmux/tmux.conf"], ".config/tmux/tmux.conf"),
        ([".config/tmux/tmux.conf", ".tmux.conf"], ".tmux.conf"),
    ],
    ids=["none", "xdg", "both"],
)
def test_the_file_that_tmux_reads_is_found(tmp_path: Path, made: list[str], expected: str) -> None:
    for name in made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert tmux_conf.find_conf({"HOME": str(tmp_path)}) == tmp_path / expected


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    user = World(tmp_path / "it's #{pid} a; $HOME")
    yield user
    user.close()


def _tmux(world: World, name: str, *words: str) -> str:
    environ = {**world.environ, "TMUX": ""}
    done = subprocess.run(
        ["tmux", "-u", "-L", name, *words], env=environ, capture_output=True, text=True, timeout=20
    )
    return done.stdout


@pytest.mark.tmux
def test_a_later_server_binds_the_keys_by_itself_and_forgets_them_after(world: World, tmp_path: Path) -> None:
    conf = world.home / ".tmux.conf"
    before = b"set -g prefix C-a\n# no line end"
    conf.write_bytes(before)
    _tmux(world, world.socket, "new-session", "-d", "sleep", "1000")
    keys = _tmux(world, world.socket, "list-keys")
    refused = world.try_run("keys", "install", "--conf")
    assert "no terminal to confirm on" in refused.stderr
    assert conf.read_bytes() == before
    assert "no keys are installed" in world.run("keys", "uninstall")
    assert _tmux(world, world.socket, "list-keys") == keys

    assert "keys load" in world.run("keys", "install", "--conf", "--yes", "--key", "F8", "--table", "root")
    assert "F8" in world.run("keys", "show")
    assert world.try_run("keys", "install", "--conf", "--yes").returncode == 1

    other = f"{world.socket}-other"
    try:
        _tmux(world, other, "new-session", "-d", "sleep", "1000")
        until(
            lambda: "bottlemux" in _tmux(world, other, "list-keys", "-T", "root", "F8"),
            "keys in another server",
        )
        assert "display-popup" in _tmux(world, other, "list-keys", "-T", "bottlemux", "p")
        assert "F8 opens" not in _tmux(world, other, "show-messages")
    finally:
        _tmux(world, other, "kill-server")
        (Path("/tmp") / f"tmux-{os.getuid()}" / other).unlink(missing_ok=True)

    done = world.run("keys", "uninstall")
    assert done == f"{conf} is as it was\nF8 is as it was\n"
    assert conf.read_bytes() == before
    assert _tmux(world, world.socket, "list-keys") == keys


@pytest.mark.tmux
def test_a_no_leaves_tmux_conf_and_the_keys_as_they_are(world: World) -> None:
    _tmux(world, world.socket, "new-session", "-d", "-s", "asked", "-x", "200", "sh")
    keys = _tmux(world, world.socket, "list-keys")
    command = shlex.join(
        ["env", *map("=".join, world.environ.items()), *world.argv("keys", "install", "--conf")]
    )

    def screen() -> str:
        return _tmux(world, world.socket, "capture-pane", "-p", "-J", "-t", "=asked:")

    _tmux(world, world.socket, "send-keys", "-t", "=asked:", command, "Enter")
    until(lambda: "[y/N]" in screen(), "the question")
    assert _tmux(world, world.socket, "list-keys") == keys
    _tmux(world, world.socket, "send-keys", "-t", "=asked:", "n", "Enter")
    until(lambda: "stays as it is" in screen(), "the answer")
    assert _tmux(world, world.socket, "list-keys") == keys
    assert not (world.home / ".tmux.conf").exists()
    assert "not installed" in world.run("keys", "show")


@pytest.mark.tmux
def test_lines_that_cannot_be_written_leave_the_keys_as_they_are(world: World) -> None:
    """A directory on /proc takes no file, not even of root's."""
    (world.home / ".tmux.conf").symlink_to("/proc/self/nowhere")
    _tmux(world, world.socket, "new-session", "-d", "sleep", "1000")
    keys = _tmux(world, world.socket, "list-keys")
    refused = world.try_run("keys", "install", "--conf", "--yes")
    assert (refused.returncode, "cannot be written" in refused.stderr) == (1, True)
    assert _tmux(world, world.socket, "list-keys") == keys
    assert "no keys are installed" in world.run("keys", "uninstall")


@pytest.mark.tmux
def test_lines_that_were_changed_since_are_left(world: World) -> None:
    conf = world.home / ".tmux.conf"
    _tmux(world, world.socket, "new-session", "-d", "sleep", "1000")
    world.run("keys", "install", "--conf", "--yes")
    conf.write_text(conf.read_text().replace("keys load", "keys load --key=x"))
    changed = conf.read_bytes()
    refused = world.try_run("keys", "uninstall")
    assert (refused.returncode, "are not as they were written" in refused.stderr) == (1, True)
    assert conf.read_bytes() == changed
    assert f"{conf} is left as it is" in world.run("keys", "uninstall", "--force")
    assert conf.read_bytes() == changed
    assert "no keys are installed" in world.run("keys", "uninstall")


@pytest.mark.tmux
def test_keys_and_leader_are_those_of_config_toml(world: World) -> None:
    (world.config / "config.toml").write_text(
        '[keys]\nleader = "C-Space"\ntable = "root"\n[keys.actions]\nnext-waiting = "Tab"\nmenu = ""\n'
    )
    _tmux(world, world.socket, "new-session", "-d", "sleep", "1000")
    sheet = world.run("keys", "show")
    assert sheet.startswith("C-Space, then:\n")
    assert "  Tab Go to the next bottle that waits" in sheet
    assert "menu" not in sheet
    world.run("keys", "install")
    assert "act" in _tmux(world, world.socket, "list-keys", "-T", "bottlemux", "Tab")
    assert _tmux(world, world.socket, "list-keys", "-T", "bottlemux", "m") == ""
    world.run("keys", "uninstall")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('nex-waiting = "Tab"', "no action 'nex-waiting'"),
        ('next = "k"', "key 'k' is for both next and previous"),
        ('next = "a b"', "must be a key as tmux writes it"),
    ],
    ids=["unknown", "twice", "no-key"],
)
def test_wrong_keys_in_config_toml_say_so(world: World, text: str, message: str) -> None:
    (world.config / "config.toml").write_text(f"[keys.actions]\n{text}\n")
    shown = world.try_run("keys", "show")
    assert (shown.returncode in {2, 4}, message in shown.stderr) == (True, True), shown.stderr
