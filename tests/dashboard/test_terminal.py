"""The real program in a real terminal: a pane of a private tmux server."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from bottlemux.dashboard.desk import READ_S
from bottlemux.files import write_json
from bottlemux.state.liveness import RuntimeStatus, process_start, write_status
from tests.palette.test_terminal import slow_tmux

from .conftest import OWN, living, routes, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bottlemux.lifecycle.context import Context
    from sidecars.supervise.proposal import Proposal

    from .conftest import Screen

    type Screens = Callable[..., Screen]
    type Make = Callable[[], str]
    type Ask = Callable[..., Proposal]

pytestmark = pytest.mark.tmux

DASHBOARD = [*OWN, "dashboard"]
SIZES = [(80, 24), (200, 50), (60, 15), (40, 10)]


def mouse(one: Screen, button: int, column: int, row: int, *, release: bool = True) -> None:
    """Send what a terminal sends for a mouse: SGR sequences, columns and rows from 1."""
    ends = "Mm" if release else "M"
    for end in ends:
        one.tmux(
            "send-keys", "-H", *(f"{byte:02x}" for byte in f"\x1b[<{button};{column};{row}{end}".encode())
        )


def click(one: Screen, text: str, times: int = 1) -> None:
    lines = one.text().splitlines()
    row = next(number for number, line in enumerate(lines, start=1) if text in line)
    column = lines[row - 1].index(text) + 1
    for _ in range(times):
        mouse(one, 0, column, row)


def assert_fits(one: Screen, size: tuple[int, int]) -> str:
    """Check that nothing on the screen was cut silently; return it."""
    text = one.text()
    lines = text.rstrip("\n").split("\n")
    assert len(lines) <= size[1]
    assert all(len(line.rstrip()) <= size[0] for line in lines)
    footer = lines[-1].split()
    assert footer[:2] == ["Enter", "go"]
    # Every key is there with its whole word.
    from bottlemux.dashboard.keys import KEYS

    whole = "  ".join(f"{key.name} {key.word}" for key in KEYS)
    assert whole.startswith(lines[-1].rstrip())
    assert whole[len(lines[-1].rstrip()) :][:2] in {"  ", ""}
    return text


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_size_shows_what_matters(
    screen: Screens, context: Context, make_bottle: Make, ask: Ask, size: tuple[int, int]
) -> None:
    quiet, asking = sorted([make_bottle(), make_bottle()])
    ask(asking)
    one = screen(size)
    with living(context, asking):
        one.run(DASHBOARD, cwd=context.cwd)
        one.shows("1 needs you")
        one.shows("exited")
        until(lambda: "asks " in one.text() or size[1] < 15, one.text)
        text = assert_fits(one, size)
        rows = [line for line in text.splitlines() if quiet in line or asking in line]
        assert asking in rows[0]
        assert rows[0].startswith("> ")
        assert "starting" in rows[0]
        if size[0] >= 80:
            assert "wants new.exa" in rows[0]
        assert ("|" in text) == (size[0] >= 150)
        one.keys("q")
        assert one.dead() == "0"


def test_what_an_ended_bottle_asked_for_waits_for_its_return(
    screen: Screens, context: Context, make_bottle: Make, ask: Ask
) -> None:
    ended, asking = make_bottle(), make_bottle()
    ask(ended, "later.example.com")
    ask(asking)
    one = screen((80, 24))
    with living(context, asking):
        one.run(DASHBOARD, cwd=context.cwd)
        one.shows("2 bottles, 1 needs you, 2 requests")
        one.keys("Tab")
        text = one.shows("counts when R brings")
        assert "asked for later.examp" in text
        time.sleep(READ_S)
        one.keys("a")
        one.shows("(in force when the bottle comes back)")
    assert routes(context, ended) == ["later.example.com"]


def test_rows_that_are_not_on_the_screen_are_counted(
    screen: Screens, context: Context, make_bottle: Make
) -> None:
    for _ in range(10):
        make_bottle()
    one = screen((60, 15))
    one.run(DASHBOARD, cwd=context.cwd)
    one.shows("-- 6 more below --")
    one.keys("Down", "Down", "Down", "Down")
    one.shows("-- 1 more above, 5 more below --")
    one.keys("End")
    one.shows("-- 6 more above --")
    one.type("/nothing like it")
    text = one.shows("no bottle matches 'nothing like it': Esc shows all 10")
    assert "more above" not in text
    one.keys("Enter")
    one.shows("Esc clear filter  Enter go")
    one.keys("Escape")
    one.hides("clear filter")
    one.shows(" more ")


def test_facts_that_are_not_on_the_screen_are_a_key_away(
    screen: Screens, context: Context, make_bottle: Make
) -> None:
    refusals = [
        {"ts": f"2026-01-01T10:00:0{number}Z", "decision": "block", "reason": "host-not-allowed", "sidecar": "egress",
         "method": "GET", "host": f"host-{number}.example.com", "port": 80, "path": "/"}
        for number in range(5)
    ]  # fmt: skip
    slug = make_bottle()
    context.paths.bottle(slug).audit.write_text("".join(f"{json.dumps(line)}\n" for line in refusals))
    one = screen((60, 15))
    one.run(DASHBOARD, cwd=context.cwd)
    text = one.shows("[... i shows all of it]")
    assert "host-4" in text
    assert "host-0" not in text
    one.keys("i", "End")
    one.shows("host-0")
    one.keys("Escape")
    one.tmux("resize-window", "-x", "80", "-y", "30")
    assert "shows all of it" not in one.shows("host-0")


def test_the_bar_of_the_selection_is_of_one_piece(
    screen: Screens, context: Context, make_bottle: Make, ask: Ask
) -> None:
    slug = make_bottle()
    ask(slug)
    one = screen((80, 24))
    with living(context, slug):
        one.run(DASHBOARD, cwd=context.cwd)
        one.shows("wants new.example.com")
        lines = one.tmux("capture-pane", "-p", "-e").splitlines()
    bar = next(line for line in lines if slug in line)
    assert len(re.findall(r"\x1b\[", bar)) == 1, bar
    assert bar.startswith("\x1b[7m> ")


def test_resizing_keeps_the_selection(screen: Screens, context: Context, make_bottle: Make) -> None:
    slugs = sorted(make_bottle() for _ in range(12))
    one = screen((80, 24))
    one.run(DASHBOARD, cwd=context.cwd)
    one.shows(slugs[0])
    for _ in range(9):
        one.keys("Down")
    selected = lambda: any(line.startswith("> ") and slugs[9] in line for line in one.text().splitlines())  # noqa: E731
    until(selected, one.text)
    for columns, rows in ((200, 50), (50, 12), (80, 24)):
        one.tmux("resize-window", "-x", str(columns), "-y", str(rows))
        until(lambda: selected() and ("|" in one.text()) == (columns >= 150), one.text)  # noqa: B023


def test_the_mouse_selects_scrolls_goes_and_presses(
    screen: Screens, context: Context, make_bottle: Make
) -> None:
    slugs = sorted(make_bottle() for _ in range(3))
    one = screen((100, 24))
    one.run(DASHBOARD, cwd=context.cwd)
    one.shows(slugs[2])
    click(one, slugs[1])
    until(lambda: f"> {''}" in one.text() and selected_line(one, slugs[1]), one.text)
    row = 3
    mouse(one, 65, 5, row, release=False)  # wheel down
    until(lambda: selected_line(one, slugs[2]), one.text)
    mouse(one, 64, 5, row, release=False)  # wheel up
    until(lambda: selected_line(one, slugs[1]), one.text)
    click(one, slugs[2], times=2)
    one.shows(f"go to {slugs[2]}: it does not run")
    click(one, "? help")
    one.shows("keys of the dashboard")
    one.keys("Escape")
    one.hides("keys of the dashboard")


def selected_line(one: Screen, slug: str) -> bool:
    return any(line.startswith("> ") and slug in line for line in one.text().splitlines())


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"NO_COLOR": "1"}, id="no-color"),
        pytest.param({"TERM": "vt100"}, id="vt100"),
        pytest.param({"TERM": "screen"}, id="screen"),
        pytest.param({"TERM": "xterm-256color"}, id="xterm"),
    ],
)
def test_states_can_be_told_apart_on_every_terminal(
    screen: Screens, context: Context, make_bottle: Make, ask: Ask, extra: dict[str, str]
) -> None:
    slug = make_bottle()
    context.paths.bottle(make_bottle()).metadata.write_text("{}")
    one = screen((100, 24))
    one.run(DASHBOARD, cwd=context.cwd, **extra)
    one.shows(slug)
    text = one.shows("! ")
    assert "broken" in text
    assert "exited" in text
    coloured = re.search(r"\x1b\[[0-9;]*\b[39][0-7]m", one.tmux("capture-pane", "-p", "-e")) is not None
    assert coloured == (not {"NO_COLOR"} & set(extra) and extra.get("TERM") != "vt100")


def test_hostile_text_stays_text(screen: Screens, context: Context, make_bottle: Make, ask: Ask) -> None:
    slug = make_bottle()
    ask(slug, reason="\x1b]0;pwned\x07\x1b[2J\u202egnp\r\nsecond line")
    audit = context.paths.bottle(slug).audit
    audit.write_text(
        '{"ts": "2026-01-01T10:00:00Z", "decision": "block", "reason": "host-not-allowed", "sidecar": "egress",'
        ' "method": "GET", "host": "\\u001b[31mevil", "port": 80, "path": "/\\u202e"}\n'
    )
    one = screen((100, 40))
    one.run(DASHBOARD, cwd=context.cwd)
    text = one.shows("because")
    assert "\\x1b]0;pwned\\x07\\x1b[2J\\u202egnp" in text
    assert "second line" in text
    assert "host-not-allowed: GET \\x1b[31mevil:80/\\u202e" in one.shows("refused")
    assert "pwned" not in one.tmux("display-message", "-p", "#{pane_title}")


def test_without_a_terminal_it_says_so(environ: dict[str, str]) -> None:
    done = subprocess.run(DASHBOARD, env=environ, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert done.stderr.startswith("bottlemux: error: the dashboard needs a terminal\n")


def test_a_hanging_tmux_blocks_nothing_and_is_said(
    screen: Screens, context: Context, make_bottle: Make, tmp_path: object
) -> None:
    from pathlib import Path

    make_bottle()
    one = screen()
    one.run(DASHBOARD, cwd=context.cwd, PATH=slow_tmux(Path(str(tmp_path)) / "bin"))
    one.shows("no news for")
    one.keys("?")
    one.shows("keys of the dashboard")
    one.keys("Escape", "q")
    assert one.dead() == "0"


def test_nothing_is_drawn_while_nothing_changes(
    screen: Screens, context: Context, make_bottle: Make, tmp_path: object
) -> None:
    """Not a byte: what is not written cannot flicker."""
    from pathlib import Path

    record = context.store.load(make_bottle())
    write_json(
        context.paths.bottle(record.identity).metadata,
        {**record.to_json(), "started_at": "2026-01-01T00:00:00Z"},
    )
    log = Path(str(tmp_path)) / "written"
    one = screen()
    one.run(DASHBOARD, cwd=context.cwd)
    one.shows(record.identity)
    one.shows("reaches")
    one.tmux("pipe-pane", "-o", f"cat >{log}")
    import time

    time.sleep(3.5)
    assert not log.exists() or log.read_bytes() == b""


class Running:
    """A bottle whose supervisor is a process of the test's."""

    def __init__(self, context: Context, slug: str) -> None:
        files = context.paths.bottle(slug)
        files.runtime.mkdir(parents=True, exist_ok=True)
        busy = (
            "import time\nblock = bytearray(80_000_000)\nwhile True:\n    end = time.process_time() + 0.05\n"
        )
        busy += "    while time.process_time() < end: pass\n    time.sleep(0.05)\n"
        self.process = subprocess.Popen([sys.executable, "-c", busy])
        self.lock = files.lock.open("w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        start = process_start(self.process.pid) or 0
        write_status(
            files,
            RuntimeStatus(self.process.pid, start, "2026-01-01T00:00:00Z", "bubblewrap", self.process.pid),
        )

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.lock.close()


@pytest.fixture
def running(context: Context, make_bottle: Make) -> Iterator[str]:
    slug = make_bottle()
    bottle = Running(context, slug)
    yield slug
    bottle.close()


def test_cpu_and_memory_are_those_of_the_bottles_processes(
    screen: Screens, context: Context, running: str
) -> None:
    one = screen((120, 30))
    one.run(DASHBOARD, cwd=context.cwd)

    def used() -> tuple[int, int]:
        line = next((line for line in one.text().splitlines() if running in line), "")
        cells = line.split()
        cpu = next((int(cell[:-1]) for cell in cells if cell.endswith("%")), 0)
        memory = next((int(cell[:-1]) for cell in cells if cell.endswith("M") and cell[:-1].isdigit()), 0)
        return cpu, memory

    # Half a core, if the machine has it to give.
    until(lambda: 3 <= used()[0] <= 60 and 70 <= used()[1] <= 120, one.text)


def test_deciding_on_the_screen(screen: Screens, context: Context, make_bottle: Make, ask: Ask) -> None:
    slug = make_bottle()
    ask(slug)
    one = screen((80, 24))
    with living(context, slug):
        one.run(DASHBOARD, cwd=context.cwd)
        one.shows("routes if approved")
        time.sleep(READ_S)
        one.keys("a")
        one.shows("may now do what it asked for")
        one.hides("1 needs you")
    assert routes(context, slug) == ["new.example.com"]


def test_it_can_be_killed_at_any_time(screen: Screens, context: Context, make_bottle: Make) -> None:
    slug = make_bottle()
    one = screen()
    one.run(["sh", "-c", 'echo $$; exec "$@"', "sh", *DASHBOARD], cwd=context.cwd)
    one.shows(slug)
    (pid,) = one.tmux("list-panes", "-F", "#{pane_pid}").split()
    os.kill(int(pid), 9)
    until(lambda: one.tmux("list-panes", "-F", "#{pane_dead}").strip() == "1", one.text)
    again = screen()
    again.run(DASHBOARD, cwd=context.cwd)
    again.shows(slug)
