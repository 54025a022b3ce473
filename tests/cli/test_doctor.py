"""What ``doctor`` makes of the facts of a machine: each judge as a table, then the whole on this machine."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backends.contract import Availability
from bottlemux.errors import UnavailableError
from bottlemux.lifecycle import checks
from bottlemux.lifecycle.checks import engines, files, kernel, network, programs, terminal
from bottlemux.lifecycle.checks.model import Check, worst
from bottlemux.lifecycle.cleaning import find_leftovers, stale_sockets
from bottlemux.lifecycle.context import Context
from bottlemux.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.world import World

PLACE = Path("/somewhere")
GIB = 1 << 30


def namespaces(*, is_root: bool = False, **values: str) -> Check:
    return kernel.judge_user_namespaces(
        {name.replace("__", "."): value for name, value in values.items()}, is_root=is_root
    )


def directory(*, writable: bool = True, mode: int | None = 0o700, free: int = 9 * GIB) -> Check:
    return files.judge_directory("state", PLACE, writable=writable, mode=mode, free=free)


CASES: dict[str, tuple[Callable[[], Check], str, str, str]] = {
    "tmux too old": (lambda: terminal.judge_version("3.1c"), "error", "3.1c is too old", "apt-get install tmux"),
    "oldest tmux": (lambda: terminal.judge_version("3.2a"), "ok", "lacks a title", ""),
    "tmux 3.3a": (lambda: terminal.judge_version("3.3a"), "ok", "lacks links", ""),
    "newest tmux": (lambda: terminal.judge_version("3.6"), "ok", "3.6", ""),
    "tmux of tomorrow": (lambda: terminal.judge_version("next-3.7"), "ok", "next-3.7", ""),
    "no server": (lambda: terminal.judge_server("3.3a", None, "/s"), "ok", "none runs yet", ""),
    "same server": (lambda: terminal.judge_server("3.3a", "3.3a", "/s"), "ok", "runs at /s", ""),
    "other server": (lambda: terminal.judge_server("3.5", "3.3a", "/s"), "warning", "runs 3.3a", "--socket-name"),
    "no locale": (lambda: terminal.judge_locale({}), "warning", "unset", "export LANG"),
    "C locale": (lambda: terminal.judge_locale({"LC_ALL": "C", "LANG": "C.UTF-8"}), "warning", "C is", "LANG"),
    "UTF-8": (lambda: terminal.judge_locale({"LANG": "de_DE.utf8"}), "ok", "de_DE.utf8", ""),
    "no TERM": (lambda: terminal.judge_terminal({}), "warning", "unset", "export TERM"),
    "dumb TERM": (lambda: terminal.judge_terminal({"TERM": "dumb"}), "warning", "dumb", "export TERM"),
    "TERM": (lambda: terminal.judge_terminal({"TERM": "xterm", "COLORTERM": "truecolor"}), "ok", "24-bit", ""),
    "in its tmux": (lambda: terminal.judge_nesting("/a", "/a"), "ok", "switches", ""),
    "in another tmux": (lambda: terminal.judge_nesting("/a", "/b"), "warning", "of /a", "BOTTLEMUX_TMUX_SOCKET"),
    "namespaces": (lambda: namespaces(kernel__unprivileged_userns_clone="1"), "ok", "may be made", ""),
    "clone off": (lambda: namespaces(kernel__unprivileged_userns_clone="0"), "warning", "is 0", "sysctl kernel.unpriv"),
    "clone off, root": (lambda: namespaces(kernel__unprivileged_userns_clone="0", is_root=True), "ok", "root", ""),
    "AppArmor": (lambda: namespaces(kernel__apparmor_restrict_unprivileged_userns="1"), "warning", "is 1", "sysctl"),
    "none at all": (lambda: namespaces(user__max_user_namespaces="0", is_root=True), "warning", "is 0", "=15000"),
    "limits": (lambda: kernel.judge_limits([]), "ok", "can be limited", ""),
    "no limits": (lambda: kernel.judge_limits(["cpu", "memory"]), "warning", "cpu, memory", "systemd"),
    "no kvm": (lambda: kernel.judge_kvm(exists=False, usable=False), "ok", "not on this machine", ""),
    "kvm of others": (lambda: kernel.judge_kvm(exists=True, usable=False), "warning", "not open", "usermod"),
    "kvm": (lambda: kernel.judge_kvm(exists=True, usable=True), "ok", "boots is seen at the first start", ""),
    "engine": (lambda: engines.judge_backend("x", Availability(available=True)), "ok", "run here", ""),
    "engine gone": (
        lambda: engines.judge_backend("x", Availability(available=False, reason="gone", hint="get it")),
        "warning", "gone", "get it",
    ),
    "engine stuck": (lambda: engines.judge_backend("x", None), "warning", "does not answer", "stuck"),
    "directory": (directory, "ok", "9 GiB free", ""),
    "directory to be made": (lambda: directory(mode=None), "ok", "/somewhere", ""),
    "read-only": (lambda: directory(writable=False), "error", "not writable", "chown"),
    "open to others": (lambda: directory(mode=0o755), "warning", "open to others", "chmod 700"),
    "full disk": (lambda: directory(free=GIB // 2), "warning", "0.5 GiB", "free some space"),
    "manifests": (lambda: files.judge_manifests(3, []), "ok", "3 agents", ""),
    "bad manifest": (lambda: files.judge_manifests(3, ["a.md:3: x"]), "error", "a.md:3: x", "edit"),
    "bad manifests": (lambda: files.judge_manifests(9, [*"abcde"]), "error", "a\nb\nc\nand 2 more", "edit"),
    "sockets": (lambda: files.judge_sockets(PLACE, []), "ok", "none", ""),
    "stale socket": (lambda: files.judge_sockets(PLACE, [PLACE / "x/y.sock"]), "warning", "x/y.sock", "cleanup"),
    "authorities": (lambda: network.judge_authorities([], has_bundle=True), "ok", "the system's", ""),
    "own authority": (lambda: network.judge_authorities(["corp.crt"], has_bundle=True), "ok", "corp.crt", ""),
    "no authorities": (lambda: network.judge_authorities([], has_bundle=False), "error", "missing", "ca-certificates"),
    "lost authority": (
        lambda: next(network.judge_ca_variables({"SSL_CERT_FILE": "/nowhere"})), "warning", "/nowhere", "unset",
    ),
    "no proxy": (lambda: network.judge_proxy({}), "ok", "none", ""),
    "proxy": (lambda: network.judge_proxy({"https_proxy": "p"}), "warning", "https_proxy is set", "company-proxy"),
    "no claude": (lambda: next(programs.judge_claude(None, {})), "warning", "not installed", "npm install"),
    "claude without token": (lambda: [*programs.judge_claude("/c", {})][1], "warning", "not set", "setup-token"),
    "claude with token": (
        lambda: [*programs.judge_claude("/c", {"CLAUDE_CODE_OAUTH_TOKEN": "t"})][-1], "ok", "/c", "",
    ),
    "others": (lambda: programs.judge_others(["codex"]), "ok", "codex", ""),
}  # fmt: skip


@pytest.mark.parametrize(("judge", "level", "detail", "fix"), CASES.values(), ids=CASES)
def test_a_fact_becomes_a_finding(judge: Callable[[], Check], level: str, detail: str, fix: str) -> None:
    found = judge()
    assert found.level == level
    assert detail in found.detail
    assert fix in found.fix
    assert (found.level == "ok") == (not found.fix)


def test_the_worst_finding_decides() -> None:
    ok, warning, error = Check("a", "ok", ""), Check("b", "warning", ""), Check("c", "error", "")
    assert [worst([]), worst([ok]), worst([warning, ok]), worst([ok, error, warning])] == [
        "ok",
        "ok",
        "warning",
        "error",
    ]


def test_an_engine_that_never_answers_does_not_keep_the_others() -> None:
    never = threading.Event()

    def stuck() -> Availability:
        never.wait()
        return Availability(available=True)

    def broken() -> Availability:
        raise UnavailableError("no module", hint="install it")

    fine = Availability(available=True)
    answers = engines.ask_all({"stuck": stuck, "fine": lambda: fine, "broken": broken}, 0.3)
    never.set()
    assert answers["stuck"] is None
    assert answers["fine"] is fine
    assert answers["broken"] == Availability(available=False, reason="no module", hint="install it")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    root = tmp_path / "c"
    return Context(
        Paths(root / "config", root / "state", tmp_path / "r"), {"TERM": "xterm", "LANG": "C.UTF-8"}, tmp_path
    )


def test_a_socket_whose_process_ended_is_found_and_a_live_one_is_not(context: Context) -> None:
    runtime = context.paths.runtime
    (runtime / "b-00000").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as live, socket.socket(socket.AF_UNIX) as dead:
        live.bind(str(runtime / "live.sock"))
        live.listen()
        dead.bind(str(runtime / "b-00000/control.sock"))
        dead.close()
        assert [path.name for path in stale_sockets(runtime)] == []
        for path in runtime.rglob("*.sock"):
            os.utime(path, (0, 0))
        assert [path.name for path in stale_sockets(runtime)] == ["control.sock"]


def test_a_manifest_that_does_not_load_is_named_with_its_line(context: Context) -> None:
    (context.paths.config / "agents").mkdir(parents=True)
    (context.paths.config / "agents/bad.md").write_text("---\nbottle: demo\nprogramm: x\nargs: 1\n---\n")
    (found,) = files.check_manifests(context)
    assert found.level == "error"
    one, other = found.detail.splitlines()
    assert "agents/bad.md:3: programm" in one
    assert "agents/bad.md:4: args" in other


def test_settings_that_do_not_load_are_a_finding_of_their_own(context: Context) -> None:
    (found,) = files.check_settings(context)
    assert (found.name, found.level) == ("settings", "ok")
    context.paths.config.mkdir(parents=True)
    context.paths.config_file.write_text("layout = 1\nbackent = 2\n")
    (found,) = files.check_settings(context)
    assert (found.name, found.level) == ("settings", "error")
    assert [line.partition(":")[2][:2] for line in found.detail.splitlines()] == ["1:", "2:"]
    assert [check.level for check in files.check_manifests(context)] == ["ok"]


def test_a_check_that_fails_is_a_finding(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_context: Context) -> Iterator[Check]:
        raise OSError(13, "Permission denied", "/secret")

    monkeypatch.setattr(checks, "_CHECKS", {"mine": fail})
    assert [(check.name, check.level) for check in checks.run_checks(context)] == [("mine", "error")]


def test_the_report_is_aligned_and_every_finding_with_a_fault_says_how_to_mend_it(world: World) -> None:
    done = world.try_run("doctor")
    found = json.loads(world.try_run("doctor", "--json").stdout)
    assert {"tmux", "locale", "user namespaces", "backend bubblewrap", "kvm", "sockets"} <= {
        one["name"] for one in found
    }
    assert all(one["fix"] for one in found if one["level"] != "ok")
    width = max(len(one["name"]) for one in found)
    lines = [line for line in done.stdout.splitlines() if line[:4].strip()]
    assert [line[6 : 6 + width].strip() for line in lines] == [one["name"] for one in found]
    assert all(line[6 + width] == " " and line[7 + width] != " " for line in lines)
    assert "\x1b" not in done.stdout


def test_cleanup_removes_a_socket_that_doctor_finds(context: Context) -> None:
    runtime = context.paths.runtime
    runtime.mkdir(parents=True)
    path = runtime / "zygote-000000000000.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    os.utime(path, (0, 0))
    (leftover,) = [one for one in find_leftovers(context)[0] if "zygote" in one.description]
    leftover.remove()
    assert not path.exists()
