"""Device nodes: an agent of root's cannot change the machine's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.backends.world import World

pytestmark = [pytest.mark.bwrap]
CHANGES = "chmod 600 /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty; true"


def test_changing_a_mode_changes_nothing_of_the_machine(own: World) -> None:
    before = {name: Path("/dev", name).stat().st_mode for name in ("null", "zero", "full", "urandom", "tty")}
    with own.launch() as bottle:
        bottle.exec(CHANGES)
        after = {name: Path("/dev", name).stat().st_mode for name in before}
        if before != after:
            for name, mode in before.items():
                Path("/dev", name).chmod(mode & 0o7777)
        assert after == before


def test_the_devices_work(own: World) -> None:
    script = "head -c 3 /dev/zero | od -An -tx1; echo x > /dev/null && head -c 8 /dev/urandom | wc -c; echo > /dev/full"
    with own.launch() as bottle:
        done = bottle.exec(script)
    assert done.stdout.split() == ["00", "00", "00", "8"]
    assert "I/O error" in done.stderr or "No space left" in done.stderr
