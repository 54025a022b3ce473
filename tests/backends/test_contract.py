"""What every backend promises, tried on each one through its contract alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bottlemux.errors import BottlemuxError, NotFoundError, UsageError
from bottlemux.state.store import BottleStore

from .world import WRITES_AT_THE_END, git, processes, running, until

if TYPE_CHECKING:
    from backends.contract import Bottle

    from .world import World


def tree(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def piped(
    bottle: Bottle, *argv: str, stdin: bytes = b"", timeout: float = 30
) -> subprocess.CompletedProcess[bytes]:
    command = bottle.claude_argv(argv, tty=False)
    return subprocess.run(command, input=stdin, capture_output=True, timeout=timeout)


class TestPrepare:
    def test_makes_nothing_and_says_the_same_twice(self, world: World) -> None:
        spec = world.spec()
        before = tree(world.root)
        assert world.backend.prepare(spec) == world.backend.prepare(spec)
        assert tree(world.root) == before

    @pytest.mark.parametrize("workspace", [pytest.param("mount", marks=pytest.mark.mount), "copy", "clone"])
    def test_prints_what_the_agent_gets(
        self, world: World, workspace: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        spec = world.spec(
            workspace=workspace, directory=world.project(repository=True), prompt="Fix\x1b[2J it"
        )
        lines: list[str] = []
        plan = world.backend.prepare(spec)
        plan.print(lines.append)
        plan.print()
        assert capsys.readouterr().out == "".join(lines)
        text = "".join(lines)
        assert "dev in bottle dev" in text
        assert world.backend.name in text
        assert workspace in text
        assert ("is an empty directory while it runs" in text) == (workspace == "mount")
        assert "\x1b" not in text

    def test_refuses_a_directory_that_is_not_there(self, world: World) -> None:
        with pytest.raises(BottlemuxError, match="is not a directory"):
            world.plan(directory=world.root / "nowhere")

    def test_refuses_to_clone_what_is_no_repository(self, world: World) -> None:
        with pytest.raises(UsageError, match="git repository"):
            world.plan(workspace="clone")


class TestLife:
    def test_launch_find_enumerate_close(self, world: World) -> None:
        bottle = world.launch()
        found = world.backend.find(bottle.identity)
        assert found.exec("echo $((6*7))").stdout == "42\n"
        (agent,) = [one for one in world.backend.enumerate_active() if one.slug == bottle.identity]
        assert (agent.backend_name, agent.agent_name) == (world.backend_name, "dev")
        assert "egress" in agent.services
        bottle.close()
        assert bottle.identity not in {one.slug for one in world.backend.enumerate_active()}
        with pytest.raises(NotFoundError):
            world.backend.find(bottle.identity)

    def test_nothing_is_left(self, world: World) -> None:
        project = world.project()
        bottle = world.launch()
        bottle.exec("(sleep 1000 & setsid sleep 1001 & nohup sleep 1002 &) >/dev/null 2>&1")
        bottle.close()
        bottle.close()
        assert not world.is_alive(bottle.identity)
        assert processes(bottle.identity) == []
        assert not world.paths.bottle(bottle.identity).runtime.exists()
        assert list(project.iterdir()) == []
        groups = Path("/sys/fs/cgroup")
        assert not [path for path in groups.glob("**/bottlemux-*") if bottle.identity in path.name]

    def test_is_a_context_manager(self, world: World) -> None:
        with world.launch() as bottle:
            assert world.is_alive(bottle.identity)
        assert not world.is_alive(bottle.identity)

    def test_a_running_identity_is_not_launched_again(self, world: World) -> None:
        plan = world.plan()
        bottle = world.launch(plan)
        with pytest.raises(BottlemuxError, match="running"):
            world.backend.launch(plan)
        assert bottle.exec("echo still here").stdout == "still here\n"

    def test_a_home_is_kept(self, world: World) -> None:
        spec = world.spec()
        with world.launch(world.backend.prepare(spec)) as bottle:
            bottle.exec("echo kept > ~/note; echo mine > ~/.gitconfig")
        with world.launch(world.backend.prepare(replace(spec, resumed=True))) as again:
            assert again.exec("cat ~/note ~/.gitconfig").stdout == "kept\nmine\n"

    def test_programs_are_told_of_the_end_and_may_finish(self, world: World) -> None:
        spec = world.spec()
        bottle = world.launch(world.backend.prepare(spec))
        with running(bottle, WRITES_AT_THE_END):
            bottle.close()
        with world.launch(world.backend.prepare(replace(spec, resumed=True))) as again:
            assert again.exec("cat ~/written").stdout == "written\n"

    def test_a_program_that_will_not_end_is_ended(self, world: World) -> None:
        bottle = world.launch()
        with running(bottle, "trap '' HUP INT TERM; echo ready; while :; do sleep 1000; done"):
            bottle.close()
        assert not world.is_alive(bottle.identity)
        assert processes(bottle.identity) == []

    def test_links_that_an_agent_plants_are_not_followed_on_the_host(
        self, world: World, tmp_path: Path
    ) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "settings.json").write_text("mine")
        spec = world.spec(workspace="copy")
        with world.launch(world.backend.prepare(spec)) as bottle:
            for name in (
                "~/.claude",
                "~/.claude.json",
                "~/.config",
                "~/.gitconfig",
                "/workspace/.git",
                "/workspace/x",
            ):
                bottle.exec(f"rm -rf {name}; ln -s {outside} {name}")
        with world.launch(world.backend.prepare(replace(spec, resumed=True))) as again:
            assert again.exec("mkdir -p ~/a/b; chmod 000 ~/a/b ~/a ~ /workspace").returncode == 0
        world.backend.discard(spec.identity)
        BottleStore(world.paths).remove(spec.identity)
        assert not spec.files.state.exists()
        assert [(path.name, path.read_text()) for path in outside.iterdir()] == [("settings.json", "mine")]

    def test_many_start_at_once(self, world: World) -> None:
        plans = [world.plan() for _ in range(3)]
        with ThreadPoolExecutor(3) as pool:
            bottles = list(pool.map(world.launch, plans))
        said = [bottle.exec("echo $BOTTLEMUX_SLUG").stdout.strip() for bottle in bottles]
        assert said == [plan.spec.identity for plan in plans]

    def test_provisioning_has_a_fixed_order(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        order: list[str] = []
        kind = type(world.backend)
        for step in ("ca", "prompt", "skills", "git", "supervise"):
            original = getattr(kind, f"_provision_{step}")

            def noted(
                self: object, *arguments: object, step: str = step, original: object = original
            ) -> None:
                order.append(step)
                original(self, *arguments)  # type: ignore[operator]

            monkeypatch.setattr(kind, f"_provision_{step}", noted)
        world.launch()
        assert order == ["ca", "prompt", "skills", "git", "supervise"]

    @pytest.mark.parametrize("step", ["ca", "prompt", "skills", "git", "supervise"])
    def test_a_failure_half_way_leaves_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        def broken(*_: object) -> None:
            raise BottlemuxError("broken on purpose")

        monkeypatch.setattr(type(world.backend), f"_provision_{step}", broken)
        plan = world.plan()
        with pytest.raises(BottlemuxError, match="on purpose"):
            world.backend.launch(plan)
        assert not world.is_alive(plan.spec.identity)
        assert not plan.spec.files.runtime.exists()
        assert list(world.project().iterdir()) == []
        assert processes(plan.spec.identity) == []

    def test_an_interruption_when_all_runs_leaves_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        launcher = import_module(f"backends.{world.backend_name.partition('@')[0]}.launcher")
        launch = launcher.launch

        def interrupted(*words: object, **options: object) -> None:
            launch(*words, **options)
            raise KeyboardInterrupt

        monkeypatch.setattr(launcher, "launch", interrupted)
        plan = world.plan()
        with pytest.raises(KeyboardInterrupt):
            world.backend.launch(plan)
        until(lambda: not world.is_alive(plan.spec.identity), "the end of the supervisor")
        until(lambda: processes(plan.spec.identity) == [], "the end of every process")
        assert not plan.spec.files.runtime.exists()
        assert list(world.project().iterdir()) == []


class TestExec:
    @pytest.fixture
    def bottle(self, world: World) -> Bottle:
        return world.launch()

    def test_as_the_contract_says(self, bottle: Bottle) -> None:
        result = bottle.exec("id -un; pwd; echo $HOME; echo oops >&2; exit 7")
        assert (result.returncode, result.stdout) == (7, "node\n/workspace\n/home/node\n")
        assert result.stderr == "oops\n"

    @pytest.mark.parametrize(
        ("argv", "code"),
        [
            (["true"], 0),
            (["sh", "-c", "exit 200"], 200),
            (["sh", "-c", "kill -TERM $$"], 128 + 15),
            (["sh", "-c", "kill -KILL $$"], 128 + 9),
            (["no-such-program"], 127),
            (["/etc/passwd"], 126),
            (["/workspace"], 126),
        ],
        ids=lambda value: value if isinstance(value, int) else value[-1].replace("/", "_"),
    )
    def test_exit_codes(self, bottle: Bottle, argv: list[str], code: int) -> None:
        assert piped(bottle, *argv).returncode == code

    def test_streams_carry_any_bytes(self, bottle: Bottle) -> None:
        data = bytes(range(256)) * 400
        done = piped(bottle, "sh", "-c", "tee /dev/stderr", stdin=data)
        assert done.stdout == data
        assert done.stderr == data

    def test_ten_megabytes(self, bottle: Bottle) -> None:
        data = os.urandom(10 << 20)
        assert piped(bottle, "cat", stdin=data).stdout == data

    def test_arguments_arrive_as_given(self, bottle: Bottle) -> None:
        words = ["a b", "", "$HOME", "'", '"', "\n", ";", "ü", "-x", "--", "#{x}"]
        done = piped(bottle, "python3", "-c", "import sys, json; print(json.dumps(sys.argv[1:]))", *words)
        assert json.loads(done.stdout) == words

    def test_a_script_may_hold_anything(self, bottle: Bottle) -> None:
        result = bottle.exec("cat <<'end'\n\x01\x7f'\"$x`y` ü\nend\n")
        assert result.stdout == "\x01\x7f'\"$x`y` ü\n"

    def test_a_process_left_behind_does_not_keep_the_pipe(self, bottle: Bottle) -> None:
        done = piped(bottle, "sh", "-c", "sleep 1000 & echo done", timeout=10)
        assert done.stdout == b"done\n"

    def test_input_of_a_program_that_does_not_read_is_no_error(self, bottle: Bottle) -> None:
        assert piped(bottle, "true", stdin=b"x" * 300_000).returncode == 0

    def test_another_user_is_an_error(self, bottle: Bottle) -> None:
        with pytest.raises(UsageError, match="user"):
            bottle.exec("true", user="operator")

    def test_in_a_bottle_that_ended_is_an_error(self, bottle: Bottle) -> None:
        bottle.close()
        with pytest.raises(BottlemuxError):
            bottle.exec("true")
        assert piped(bottle, "true").returncode != 0

    def test_nothing_of_the_host_is_inherited(
        self, bottle: Bottle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("SECRET_OF_THE_HOST", "s3cr3t")
        monkeypatch.setenv("LD_PRELOAD_X", "s3cr3t")
        with (tmp_path / "open").open("w") as kept:
            os.set_inheritable(kept.fileno(), True)
            command = bottle.claude_argv(["sh", "-c", "env; ls -l /proc/self/fd/"], tty=False)
            done = subprocess.run(
                command, capture_output=True, close_fds=False, timeout=20, stdin=subprocess.DEVNULL
            )
        assert b"s3cr3t" not in done.stdout
        links = [line.split(b" -> ")[1] for line in done.stdout.splitlines() if b" -> " in line]
        assert all(link.startswith((b"pipe:", b"/proc/")) for link in links), links

    def test_the_argv_of_a_pane_has_no_secret(self, bottle: Bottle) -> None:
        assert "placeholder" not in " ".join(bottle.claude_argv(["true"]))


class TestNetwork:
    def test_sidecars_answer_by_name(self, world: World) -> None:
        bottle = world.launch()
        script = "curl -sS -m 10 http://_egress.local/routes; getent hosts supervise git-gate"
        result = bottle.exec(script)
        assert result.returncode == 0, result.stderr
        assert "routes" in result.stdout or result.stdout.startswith("[")

    def test_a_host_without_route_is_refused_with_the_reason(self, world: World) -> None:
        result = world.launch().exec("curl -sS -m 10 -o /dev/null -D - http://example.com/ ")
        assert "403" in result.stdout
        assert "x-bottlemux-block: host-not-allowed" in result.stdout.lower()

    def test_a_port_of_the_host_is_out_of_reach(self, world: World) -> None:
        bottle = world.launch()
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            result = bottle.exec(f"curl -sS -m 3 --noproxy '*' http://127.0.0.1:{port}/")
        assert result.returncode == 7


class TestWorkspaces:
    @pytest.mark.mount
    def test_mount_is_the_directory_itself(self, world: World) -> None:
        project = world.project(repository=True)
        bottle = world.launch(directory=project)
        script = (
            "echo two >> file && git -c user.name=a -c user.email=a@b commit -qam second && echo new > other"
        )
        result = bottle.exec(script)
        assert result.returncode == 0, result.stderr
        bottle.close()
        assert (project / "file").read_text() == "one\ntwo\n"
        assert (project / "other").read_text() == "new\n"
        assert git(project, "log", "--format=%s").splitlines() == ["second", "first"]

    def test_clone_is_on_a_branch_of_its_own(self, world: World) -> None:
        project = world.project(repository=True)
        git(project, "remote", "add", "origin", "ssh://git@example.com/a.git")
        (project / "untracked").write_text("secret")
        bottle = world.launch(directory=project, workspace="clone")
        result = bottle.exec("git branch --show-current; ls; git remote -v; echo x > file")
        branch, *names = result.stdout.splitlines()
        assert branch == f"bottlemux/{bottle.identity}"
        assert names[0] == "file"
        assert "untracked" not in names
        assert "ssh://git@example.com/a.git" in result.stdout
        assert (project / "file").read_text() == "one\n"

    def test_copy_is_apart(self, world: World) -> None:
        project = world.project()
        (project / "a").write_text("a")
        (project / "link").symlink_to("/etc/shadow")
        os.mkfifo(project / "pipe")
        bottle = world.launch(workspace="copy")
        result = bottle.exec("ls; echo b > a; readlink link")
        assert result.stdout == "a\nlink\n/etc/shadow\n"
        assert (project / "a").read_text() == "a"

    def test_the_home_directory_is_no_workspace(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        project = world.project()
        monkeypatch.setenv("HOME", str(project))
        with pytest.raises(UsageError, match="home directory"):
            world.plan()
        monkeypatch.setenv("HOME", str(project / "below"))
        with pytest.raises(UsageError, match="home directory"):
            world.plan(workspace="copy")

    @pytest.mark.parametrize("place", ["config", "state", "runtime"])
    def test_nor_are_the_directories_of_bottlemux(self, world: World, place: str) -> None:
        own: Path = getattr(world.paths, place)
        own.mkdir(parents=True, exist_ok=True)
        below = own / "project"
        below.mkdir(exist_ok=True)
        for directory in (world.root, own, below):
            with pytest.raises(UsageError, match="workspace"):
                world.plan(directory=directory)

    def test_nor_is_where_tmux_listens(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TMUX_TMPDIR", str(world.project()))
        with pytest.raises(UsageError, match="tmux"):
            world.plan()

    def test_nor_are_the_systems(self, world: World) -> None:
        for directory in ("/", "/etc", "/proc/sys", "/usr"):
            with pytest.raises(UsageError, match="workspace"):
                world.plan(directory=Path(directory))


class TestTwoAtOnce:
    def test_neither_sees_the_other(self, world: World) -> None:
        first, second = world.launch(), world.launch(directory=world.project("-2"))
        first.exec("echo mine > ~/note; (exec -a sentinel sleep 1000) >/dev/null 2>&1 &")
        seen = second.exec("ls -a ~; cat /proc/[0-9]*/cmdline | tr '\\0' ' '; kill -KILL -1")
        assert "note" not in seen.stdout
        assert "sentinel" not in seen.stdout
        assert first.exec("echo alive").stdout == "alive\n"
        until(lambda: second.exec("echo alive").stdout == "alive\n", "the bottle outlives its processes")

    @pytest.mark.mount
    def test_the_second_stays_protected_when_the_first_stops(self, world: World) -> None:
        project = world.project(repository=True)
        first, second = world.launch(directory=project), world.launch(directory=project)
        first.close()
        for name in (".git/hooks/post-commit", ".git/config", ".envrc", ".mcp.json", ".vscode/tasks.json"):
            assert second.exec(f"echo evil > {name}").returncode != 0, name
        second.close()
        assert sorted(path.name for path in project.iterdir()) == [".git", "file"]
