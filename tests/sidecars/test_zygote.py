"""The process sidecars are forked from: whom it serves, what its children inherit, when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sidecars import ipc, zygote_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE_S = 60.0


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


# What a child can be asked to run has to be importable by a zygote, which sees installed code only.
ANSWER = "tests.sidecars.answers:answer"
START = """
import sys
sys.path.insert(0, sys.argv[1])
from sidecars import zygote
zygote.IDLE_EXIT_S = float(sys.argv[2])
zygote.main([])
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []

    def start(idle: float = 900.0) -> subprocess.Popen[bytes]:
        root = str(Path(__file__).parents[2])
        with ipc.listen(str(tmp_path / "z")) as listener:
            shell = 'trap "" HUP INT TERM; umask 077; exec "$@" 3<&0 0</dev/null'
            argv = ["/bin/sh", "-c", shell, "sh", sys.executable, "-c", START, root, str(idle)]
            processes.append(subprocess.Popen(argv, stdin=listener.fileno(), stderr=subprocess.DEVNULL))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def ask(tmp_path: Path, **message: object) -> dict[str, object] | None:
    with ipc.connect(str(tmp_path / "z"), timeout=DEADLINE_S) as connection:
        ipc.send(connection, {"entry": ANSWER, **message})
        return ipc.receive(connection)[0]


def test_each_connection_gets_a_process_of_its_own(started: Callable[..., object], tmp_path: Path) -> None:
    started()
    first, second = ask(tmp_path), ask(tmp_path)
    assert first is not None
    assert second is not None
    assert first["pid"] != second["pid"]
    assert first["session"] == first["pid"]


def test_a_child_that_crashes_takes_nobody_along(started: Callable[..., object], tmp_path: Path) -> None:
    started()
    for way in ("raise", "exit", "kill"):
        assert ask(tmp_path, way=way) is None
    assert ask(tmp_path) is not None


@pytest.mark.parametrize(
    "message", [{"entry": "no.such:thing"}, {"entry": "os"}, {}], ids=["unknown", "bare", "none"]
)
def test_an_entry_that_there_is_not_ends_only_its_child(
    started: Callable[..., object], tmp_path: Path, message: dict[str, object]
) -> None:
    started()
    with ipc.connect(str(tmp_path / "z"), timeout=DEADLINE_S) as connection:
        ipc.send(connection, message)
        assert ipc.receive(connection)[0] is None
    assert ask(tmp_path) is not None


def test_a_connection_that_says_nothing_blocks_nobody(started: Callable[..., object], tmp_path: Path) -> None:
    started()
    with ipc.connect(str(tmp_path / "z")):
        assert ask(tmp_path) is not None


def test_children_do_not_hold_the_listener(
    started: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    process = started()
    with ipc.connect(str(tmp_path / "z"), timeout=DEADLINE_S) as connection:
        ipc.send(connection, {"entry": ANSWER, "way": "stay"})
        answer = ipc.receive(connection)[0]
        assert answer is not None
        process.kill()
        process.wait()
        try:
            until(lambda: not _accepts(tmp_path), "the listener is closed with the zygote")
        finally:
            os.kill(int(str(answer["pid"])), signal.SIGKILL)


def _accepts(tmp_path: Path) -> bool:
    try:
        ipc.connect(str(tmp_path / "z")).close()
    except OSError:
        return False
    return True


def test_it_ends_when_idle(started: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    process = started(0.3)
    assert process.wait(DEADLINE_S) == 0


def test_it_stays_while_a_child_lives(
    started: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    process = started(0.2)
    with ipc.connect(str(tmp_path / "z"), timeout=DEADLINE_S) as connection:
        ipc.send(connection, {"entry": ANSWER, "way": "stay"})
        answer = ipc.receive(connection)[0]
        assert answer is not None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.8)
        os.kill(int(str(answer["pid"])), signal.SIGKILL)
    assert process.wait(DEADLINE_S) == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_is_not_served(started: Callable[..., object], tmp_path: Path) -> None:
    started()
    assert ask(tmp_path) is not None
    place = tmp_path
    while place != Path("/tmp"):
        place.chmod(0o711)
        place = place.parent
    (tmp_path / "z").chmod(0o666)
    code = f"""
import os, socket, struct
os.setuid(65534)
s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect({str(tmp_path / "z")!r})
body = b'{{"entry": "{ANSWER}"}}'
try:
    s.sendall(struct.pack("!I", len(body)) + body)
    answer = s.recv(10)
except (BrokenPipeError, ConnectionResetError):
    answer = b""
raise SystemExit(len(answer))
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_children_get_nothing_of_the_shell_it_was_started_from(
    started: Callable[..., object], tmp_path: Path
) -> None:
    started()
    answer = ask(tmp_path)
    assert answer is not None
    assert (answer["umask"], answer["ignored"], answer["blocked"]) == (0o022, [], [])


def test_the_name_of_its_socket_changes_with_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "changing_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    before = zygote_names.build_id(["changing_package"])
    assert zygote_names.build_id(["changing_package"]) == before
    (package / "other.py").write_text("changed = True")
    assert zygote_names.build_id(["changing_package"]) != before


def test_the_socket_is_private(started: Callable[..., object], tmp_path: Path) -> None:
    started()
    assert (tmp_path / "z").stat().st_mode & 0o777 == 0o600
