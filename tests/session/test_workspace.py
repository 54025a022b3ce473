from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bottlemux.errors import BottlemuxError, NotFoundError, UsageError
from bottlemux.session.keys import Binding, install, uninstall
from bottlemux.session.layout import PaneLayout, TreeLayout, WindowLayout
from bottlemux.session.models import PaneSpec, WindowSpec, safe_name
from bottlemux.session.server import parse_version
from bottlemux.session.workspace import Workspace
from tests.session.conftest import IDLE, spec, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.session.server import TmuxServer

pytestmark = pytest.mark.tmux

HOSTILE = [
    "a;",
    ";",
    'it\'s "quoted"',
    "#{pid}#(touch {pwned})",
    "$(touch {pwned})`touch {pwned}`",
    "two\nlines\t\x1b[31m",
    "ünïcode→🙂",
    "-x",
    "",
    "a.b:c",
    "=x*?[a]",
    "x" * 300,
]


def has_dead_signal() -> bool:
    """Tell whether this tmux, 3.3 or newer, reports signals and shows our text in dead panes."""
    version = subprocess.run(["tmux", "-V"], capture_output=True, text=True, timeout=10).stdout.split()[1]
    return parse_version(version) >= (3, 3, "")


def argv_of(pid: int) -> list[str]:
    """Return a process's argument list; between fork and exec it is still tmux's own."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]


def test_ten_windows_of_three_panes(workspace: Workspace) -> None:
    windows = workspace.open_windows([spec(f"dev-{number:05d}") for number in range(10)])
    assert [window.slug for window in windows] == [f"dev-{number:05d}" for number in range(10)]
    assert {tuple(pane.role for pane in window.panes) for window in windows} == {("agent", "shell", "audit")}
    assert len({window.window_id for window in windows}) == 10
    assert workspace.list() == windows
    assert all(pane.pid > 1 and not pane.dead for window in windows for pane in window.panes)
    names = workspace.server.batch([["list-windows", "-t", "=bottlemux:", "-F", "#{window_name}"]])
    assert names == [window.slug for window in windows]


def test_more_windows_join_the_session(workspace: Workspace) -> None:
    workspace.open_window(spec("one-11111"))
    workspace.open_window(spec("two-22222"))
    assert [window.slug for window in workspace.list()] == ["one-11111", "two-22222"]
    assert {window.session for window in workspace.list()} == {"bottlemux"}


def test_without_server_everything_is_empty(workspace: Workspace) -> None:
    assert workspace.list() == []
    assert workspace.find("dev-00001") is None
    assert not workspace.exists()
    assert not workspace.close("dev-00001")
    assert workspace.open_windows([]) == []
    assert not workspace.server.is_running()


def test_ensure_makes_a_session_with_a_shell_once(workspace: Workspace) -> None:
    assert workspace.ensure(size=(111, 33)) is None
    assert workspace.ensure() is None
    fields = "#{window_name} #{window_width}x#{window_height} #{pane_current_command} #{history_limit}"
    until(
        lambda: workspace.server.batch([["list-windows", "-a", "-F", fields]]) == ["home 111x33 sh 50000"],
        "one window with a shell",
    )


def test_layout_is_applied_at_the_real_size(workspace: Workspace) -> None:
    layout = WindowLayout(
        tree=TreeLayout.model_validate(
            {"columns": [{"ratio": 60}, {"ratio": 40, "rows": [{}, {"ratio": 3}]}]}
        ),
        panes=(
            PaneLayout(role="agent"),
            PaneLayout(role="shell", focus=True),
            PaneLayout(shell_command=("top",)),
        ),
        options={"pane-border-status": "top"},
    )
    window_spec = WindowSpec.from_layout("dev-00001", "dev", "docker", layout, lambda _: IDLE)
    window = workspace.open_windows([window_spec], size=(101, 41))[0]
    sizes = workspace.server.batch(
        [["list-panes", "-t", window.window_id, "-F", "#{@bottlemux_role} #{pane_width} #{pane_active}"]]
    )
    assert sizes == ["agent 60 0", "shell 40 1", "command 40 0"]
    assert workspace.server.batch(
        [["show-options", "-wv", "-t", window.window_id, "pane-border-status"]]
    ) == ["top"]


def test_many_panes_fit_a_small_window(workspace: Workspace) -> None:
    panes = tuple(PaneSpec("shell", ("sh", "-c", "read x", str(number))) for number in range(16))
    window = workspace.open_windows([spec(panes=panes)], size=(80, 24))[0]
    until(lambda: [argv_of(pane.pid)[-1] for pane in window.panes] == [str(number) for number in range(16)])


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_do_nothing(workspace: Workspace, tmp_path: Path, value: str) -> None:
    pwned = tmp_path / "pwned"
    text = value.replace("{pwned}", str(pwned))
    panes = (PaneSpec("agent", (*IDLE, text)), PaneSpec("logs", (*IDLE, text)))
    window = workspace.open_window(spec(agent=text, backend=text, name=text, status=text, panes=panes))
    workspace.rename(window.slug, text)
    workspace.set_status(window.slug, text)
    found = workspace.require(window.slug)
    shown = "".join(char if char.isprintable() else "?" for char in text)
    assert (found.agent, found.backend, found.status, found.name) == (shown, shown, shown, safe_name(text))
    until(lambda: argv_of(found.panes[0].pid) == [*IDLE, text], "the argument list")
    workspace.server.batch([["display-message", "-p", "-t", window.window_id, "#{E:window-status-format}"]])
    assert not pwned.exists()


@pytest.mark.parametrize("slug", ["", "a b", "x;", "#{pid}", "a\nb", "-x", "é", "a" * 200])
def test_a_slug_is_plain(slug: str) -> None:
    with pytest.raises(UsageError, match="slug"):
        spec(slug)


def test_two_windows_of_a_slug_are_refused_and_the_first_is_left_alone(workspace: Workspace) -> None:
    first = workspace.open_window(spec())
    with pytest.raises(BottlemuxError, match="has a window already"):
        workspace.open_windows([spec("new-00000"), spec()])
    assert workspace.list() == [first]


def test_a_failed_build_leaves_nothing(workspace: Workspace, make_server: Callable[[], TmuxServer]) -> None:
    panes = tuple(PaneSpec("shell", IDLE) for _ in range(16))
    with pytest.raises(BottlemuxError, match=r"no space for (a )?new pane") as caught:
        workspace.open_windows([spec("ok-00000"), spec(panes=panes)], size=(10, 4))
    assert "larger" in caught.value.hint
    assert not workspace.exists()


def test_a_failed_build_leaves_other_windows(workspace: Workspace) -> None:
    kept = workspace.open_windows([spec("kept-00000")], size=(10, 8))
    with pytest.raises(BottlemuxError, match=r"no space for (a )?new pane"):
        workspace.open_window(spec(panes=tuple(PaneSpec("shell", IDLE) for _ in range(16))))
    assert [window.slug for window in workspace.list()] == [kept[0].slug]


def test_two_starts_at_once_share_the_session(server: TmuxServer, environ: dict[str, str]) -> None:
    failures: list[BaseException] = []

    def start(number: int) -> None:
        try:
            Workspace(server, environ=environ).open_window(spec(f"dev-{number:05d}"))
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=start, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(Workspace(server).list()) == 6
    assert len(server.batch([["list-windows", "-a"]])) == 6


@pytest.mark.parametrize(
    ("program", "ended"),
    [
        (("false",), "exit code 1"),
        (("sh", "-c", "exit 42"), "exit code 42"),
        (("sh", "-c", "kill -9 $$"), "signal 9"),
        (("/nonexistent/program", "x"), "exit code 1"),
    ],
    ids=["at-once", "code", "signal", "missing"],
)
def test_an_ended_program_is_kept_with_its_code(
    workspace: Workspace, program: tuple[str, ...], ended: str
) -> None:
    window = workspace.open_window(spec(panes=(PaneSpec("agent", program), PaneSpec("shell", IDLE))))

    def agent_ended() -> str:
        return workspace.require(window.slug).panes[0].ended

    signalled_without_report = "exit code None" if not has_dead_signal() and "signal" in ended else ended
    until(lambda: agent_ended() == signalled_without_report, "the end of the program")


def test_no_exit_code_is_missed(workspace: Workspace) -> None:
    # tmux before 3.5 misses about one in ten of these when nothing else happens.
    window = workspace.open_window(spec(panes=(PaneSpec("agent", ("sh", "-c", "exit 7")),)))
    for _ in range(40):
        until(lambda: workspace.require(window.slug).panes[0].dead_status == 7, "the exit code")
        workspace.respawn(window.panes[0].pane_id, ("sh", "-c", "exit 7"))


def test_an_ended_program_can_be_started_again_in_place(workspace: Workspace) -> None:
    window = workspace.open_window(spec(panes=(PaneSpec("agent", ("false",)), PaneSpec("shell", IDLE))))
    pane_id = window.panes[0].pane_id
    until(lambda: workspace.require(window.slug).panes[0].dead)
    workspace.respawn(pane_id, ["sh", "-c", "echo back; read x"])
    until(lambda: "back" in workspace.capture(pane_id))
    pane = workspace.require(window.slug).panes[0]
    assert (pane.pane_id, pane.role, pane.dead) == (pane_id, "agent", False)


def test_a_dead_pane_says_what_to_do(workspace: Workspace) -> None:
    window = workspace.open_window(spec(panes=(PaneSpec("agent", ("sh", "-c", "exit 3")),)))
    pane_id = window.panes[0].pane_id
    text = "[exit code 3] bottlemux resume dev-00001 resumes it, C-b x"
    expected = text if has_dead_signal() else "Pane is dead"
    until(lambda: workspace.list() and expected in workspace.capture(pane_id))


@pytest.mark.parametrize(("table", "pressed"), [("prefix", "C-b b #"), ("root", "b #")], ids=str)
def test_a_dead_pane_names_the_key_while_our_keys_are_bound(
    workspace: Workspace, server: TmuxServer, table: str, pressed: str
) -> None:
    if not has_dead_signal():
        pytest.skip("this tmux says only that the pane is dead")
    server.batch([["new-session", "-d", "-s", "mine", "--", *IDLE]])
    bindings = [
        Binding("#", "back", ("next-window",), "resume"),
        Binding("n", "other", ("next-window",), "next"),
    ]
    keys = install(server, bindings, table=table, key="b")
    window = workspace.open_window(spec(panes=(PaneSpec("agent", ("false",)), PaneSpec("shell", IDLE))))
    pane_id = window.panes[0].pane_id
    told = f"[exit code 1] {pressed} resumes it"
    until(lambda: workspace.list() and told in workspace.capture(pane_id))
    assert len(told) <= 35, "cut in the narrowest pane of the shipped layouts"
    uninstall(server, keys)
    workspace.respawn(pane_id, ("false",))
    command = "code 1] bottlemux resume dev-00001 resumes it"
    until(lambda: workspace.list() and command in workspace.capture(pane_id))


class TestTheUserRearranges:
    def test_rename_move_and_reorder(self, workspace: Workspace, server: TmuxServer) -> None:
        one, two = workspace.open_windows([spec("one-11111"), spec("two-22222")])
        server.batch(
            [
                ["rename-window", "-t", one.window_id, "two-22222"],
                ["swap-window", "-s", one.window_id, "-t", two.window_id],
                ["move-window", "-s", one.window_id, "-t", "=bottlemux:77"],
                ["new-session", "-d", "-s", "mine", "--", *IDLE],
                ["move-window", "-s", two.window_id, "-t", "=mine:"],
            ]
        )
        found = {window.slug: window for window in workspace.list()}
        assert found["one-11111"].window_id == one.window_id
        assert found["two-22222"].session == "mine"
        assert workspace.close("two-22222")
        assert server.batch([["list-windows", "-t", "=mine:", "-F", "#{@bottlemux_slug}"]]) == [""]

    def test_a_window_linked_twice_is_listed_once(self, workspace: Workspace, server: TmuxServer) -> None:
        window = workspace.open_window(spec())
        link = ["link-window", "-s", window.window_id, "-t", "=mine:"]
        server.batch([["new-session", "-d", "-s", "mine", "--", *IDLE], link])
        assert len(workspace.list()) == 1
        assert len(workspace.list()[0].panes) == 3

    def test_a_pane_broken_out_still_belongs(self, workspace: Workspace, server: TmuxServer) -> None:
        window = workspace.open_window(spec())
        server.batch([["break-pane", "-d", "-s", window.panes[0].pane_id]])
        found = workspace.require(window.slug)
        assert {pane.role for pane in found.panes} == {"agent", "shell", "audit"}
        assert (found.agent, found.window_id) == ("dev", window.window_id)
        workspace.server.batch([["new-session", "-d", "-s", "keep", "--", *IDLE]])
        assert workspace.close(window.slug)
        assert workspace.list() == []

    def test_user_windows_are_never_listed_or_closed(self, workspace: Workspace, server: TmuxServer) -> None:
        workspace.open_window(spec())
        server.batch([["new-window", "-d", "-t", "=bottlemux:", "-n", "dev-00001", "--", *IDLE]])
        assert len(workspace.list()) == 1
        workspace.close("dev-00001")
        assert server.batch([["list-windows", "-a", "-F", "#{window_name}"]]) == ["dev-00001"]


class TestTheServerIsShared:
    def test_nothing_global_and_no_other_session_changes(
        self, workspace: Workspace, server: TmuxServer
    ) -> None:
        others = ["bottlemux2", "bottlemux-x", "aaa"]
        server.batch([["new-session", "-d", "-s", name, "--", *IDLE] for name in others], start=True)
        show = [["show-options", scope] for scope in ("-g", "-gw", "-s")] + [
            ["show-hooks", "-g"],
            ["list-keys"],
        ]
        show += [["show-options", "-t", f"={name}:"] for name in others]
        show += [["list-panes", "-s", "-t", f"={name}", "-F", "#{pane_id} #{pane_pid}"] for name in others]
        show += [["show-environment", "-g"]]
        before = server.batch(show)
        window = workspace.open_window(spec())
        workspace.set_status(window.slug, "idle")
        workspace.respawn(window.panes[0].pane_id, IDLE)
        workspace.close(window.slug)
        assert server.batch(show) == before

    def test_a_session_of_a_longer_name_is_not_ours(self, workspace: Workspace, server: TmuxServer) -> None:
        server.batch([["new-session", "-d", "-s", "bottlemux2", "--", *IDLE]], start=True)
        assert not workspace.exists()
        workspace.open_window(spec())
        assert len(server.batch([["list-windows", "-t", "=bottlemux2:"]])) == 1

    def test_a_pane_of_the_users_is_refused(self, workspace: Workspace, server: TmuxServer) -> None:
        workspace.open_window(spec())
        mine = server.batch([["new-session", "-d", "-s", "m", "-P", "-F", "#{pane_id}", "--", *IDLE]])[0]
        for act in (
            lambda: workspace.respawn(mine, ["false"]),
            lambda: workspace.send_prompt(mine, "rm -rf x"),
            lambda: workspace.respawn("%999", ["false"]),
        ):
            with pytest.raises(NotFoundError, match="no bottle has the pane"):
                act()


@pytest.mark.parametrize(
    "configuration",
    [
        "set -g destroy-unattached on",
        "set -g base-index 1\nsetw -g pane-base-index 1\nset -g renumber-windows on",
        "set -g default-command 'echo pwned; exit 1'\nset -g default-shell /bin/false",
        "setw -g remain-on-exit off\nset -g history-limit 10\nset -g default-size 10x5",
        "setw -g automatic-rename on\nsetw -g allow-rename on\nset -g mouse on",
        "set-hook -g after-new-window 'display -p hook'\nset-hook -g after-split-window 'rename-window x'",
        "setw -g main-pane-width 10\nset -g status off\nsetw -g aggressive-resize on",
    ],
    ids=["destroy-unattached", "base-index", "default-command", "limits", "renaming", "hooks", "sizes"],
)
def test_the_users_configuration_does_no_harm(
    workspace: Workspace, configure: Callable[[str], None], configuration: str
) -> None:
    configure(configuration)
    windows = workspace.open_windows([spec("one-11111"), spec("two-22222")])
    time_out = workspace.open_window(spec("three-33333"))
    assert [len(window.panes) for window in [*windows, time_out]] == [3, 3, 3]
    until(lambda: all(not pane.dead for window in workspace.list() for pane in window.panes))
    limits = workspace.server.batch([["list-panes", "-a", "-F", "#{history_limit} #{pane_index}"]])
    assert {line.split()[0] for line in limits} == {"50000"}
    until(lambda: all(argv_of(window.panes[0].pid) == list(IDLE) for window in workspace.list()))


def test_it_works_under_the_c_locale(server: TmuxServer, environ: dict[str, str]) -> None:
    script = (
        "from bottlemux.session.server import TmuxServer\n"
        "from bottlemux.session.workspace import Workspace\n"
        "from tests.session.conftest import spec\n"
        "import sys\n"
        "workspace = Workspace(TmuxServer(socket_name=sys.argv[1]))\n"
        "workspace.open_window(spec(agent='ünï→', name='größe'))\n"
        "found = workspace.list()[0]\n"
        "assert (found.agent, found.name) == ('ünï→', 'größe'), found\n"
        "assert workspace.server.libtmux.windows[0].window_name == 'größe'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, server._name or ""],
        env={**environ, "LC_ALL": "C"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_libtmux_objects_are_the_same_windows(workspace: Workspace) -> None:
    window = workspace.open_window(spec())
    session = workspace.server.libtmux.sessions.get(session_name="bottlemux")
    assert session is not None
    assert [pane.pane_id for pane in session.windows[0].panes] == [pane.pane_id for pane in window.panes]


def test_statuses_are_set_in_bulk(workspace: Workspace) -> None:
    workspace.open_windows([spec("one-11111"), spec("two-22222")])
    workspace.set_statuses({"one-11111": "working", "gone-00000": "idle"})
    assert [window.status for window in workspace.list()] == ["working", "starting"]
    with pytest.raises(NotFoundError, match="known: one-11111, two-22222"):
        workspace.set_status("gone-00000", "idle")


def test_capture_returns_the_last_lines_of_the_history(workspace: Workspace) -> None:
    printing = ("sh", "-c", "seq 1 500; echo 'ünï'; read x")
    window = workspace.open_window(spec(panes=(PaneSpec("agent", printing),)))
    until(lambda: "ünï" in workspace.capture(window.panes[0].pane_id))
    assert workspace.capture(window.panes[0].pane_id, 3) == "499\n500\nünï"
    assert workspace.capture(window.panes[0].pane_id, 400).startswith("102\n")
    with pytest.raises(UsageError, match="pane id"):
        workspace.capture("bottlemux:0.0", 3)


def test_reading_thirty_panes_is_one_fast_client(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.open_windows([spec(f"dev-{number:05d}") for number in range(10)])
    calls: list[object] = []
    run = workspace.server._run
    monkeypatch.setattr(
        workspace.server, "_run", lambda *args, **named: calls.append(args) or run(*args, **named)
    )
    started = time.monotonic()
    assert len(workspace.list()) == 10
    assert len(calls) == 1
    assert time.monotonic() - started < 0.5


def test_what_a_new_session_shows_first_starts_first(workspace: Workspace) -> None:
    commands = ["list-panes", "-a", "-F", "#{@bottlemux_slug} #{pane_start_command}"]

    def later() -> set[str]:
        return {line.split()[0] for line in workspace.server.batch([commands]) if "sleep" in line}

    printing = (PaneSpec("agent", ("sh", "-c", "echo here; read x")),)
    windows = workspace.open_windows([spec(f"dev-{number:05d}", panes=printing) for number in range(3)])
    assert later() == {"dev-00000", "dev-00001"}
    for window in windows:
        until(lambda pane=window.panes[0]: workspace.capture(pane.pane_id) == "here", "a program's output")
    workspace.open_windows([spec("new-00000"), spec("new-00001")])
    assert later() == {"dev-00000", "dev-00001"}


def test_a_home_directory_is_not_expanded(
    server: TmuxServer, environ: dict[str, str], tmp_path: Path
) -> None:
    home = tmp_path / "home" / "#{pid}#(touch pwned)%H"
    home.mkdir()
    window = Workspace(server, environ={**environ, "HOME": str(home)}).open_window(spec())
    for pane in window.panes:
        until(lambda pid=pane.pid: Path(f"/proc/{pid}/cwd").readlink() == home, "the directory of a pane")


def test_panes_cannot_talk_past_tmux_or_rename_their_window(workspace: Workspace) -> None:
    script = "printf '\\033kpwned\\033\\\\'; echo done; read x"
    window = workspace.open_window(spec(panes=(PaneSpec("agent", ("sh", "-c", script)),)))
    until(lambda: "done" in workspace.capture(window.panes[0].pane_id))
    workspace.server.batch([["set-option", "-gw", "allow-rename", "on"]])
    workspace.respawn(window.panes[0].pane_id, ["sh", "-c", script])
    until(lambda: "done" in workspace.capture(window.panes[0].pane_id))
    assert workspace.require(window.slug).name == "dev-00001"
    if has_dead_signal():
        shown = workspace.server.batch([["show-options", "-wv", "-t", window.window_id, "allow-passthrough"]])
        assert shown == ["off"]


def test_windows_of_one_directory_stand_together(workspace: Workspace) -> None:
    for slug, directory in (("a-00001", "/a"), ("b-00001", "/b")):
        workspace.open_window(spec(slug, directory=directory))
    looked_at = workspace.server.batch([["display-message", "-p", "-t", "=bottlemux:", "#{window_id}"]])
    workspace.open_windows(
        [
            spec("a-00002", directory="/a"),
            spec("c-00001", directory=""),
            spec("a-00003", directory="/a"),
            spec("c-00002", directory=""),
        ]
    )
    expected = ["a-00001", "a-00002", "a-00003", "b-00001", "c-00001", "c-00002"]
    assert [window.slug for window in workspace.list()] == expected
    assert looked_at == workspace.server.batch(
        [["display-message", "-p", "-t", "=bottlemux:", "#{window_id}"]]
    )


@pytest.mark.parametrize(("chosen", "expected"), [(None, "12"), ("40", "40"), ("5", "5")])
def test_the_status_line_has_room_for_the_sessions_name_unless_the_user_chose(
    workspace: Workspace, chosen: str | None, expected: str
) -> None:
    if chosen is not None:
        server = workspace.server
        server.batch([["new-session", "-d", "-s", "theirs", "sleep", "60"]], start=True)
        server.batch([["set-option", "-g", "status-left-length", chosen]])
    workspace.open_windows([spec()])
    shown = workspace.server.batch([["display-message", "-p", "-t", "=bottlemux:", "#{status-left-length}"]])
    assert shown == [expected]


def test_the_sessions_own_options_touch_no_other(server: TmuxServer, environ: dict[str, str]) -> None:
    own = Workspace(server, environ=environ, options=lambda: {"mouse": "on"})
    own.open_window(spec())
    assert server.batch([["show-options", "-t", "=bottlemux:", "mouse"]]) == ["mouse on"]
    (version,) = server.batch([["display-message", "-p", "#{version}"]])
    default = "on" if parse_version(version) >= parse_version("3.8") else "off"
    assert server.batch([["show-options", "-g", "mouse"]]) == [f"mouse {default}"]
