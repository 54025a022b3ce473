from __future__ import annotations

from bottlemux.actions.report import describe
from bottlemux.lifecycle.status import BottleStatus


def test_what_a_bottle_uses_is_written_as_in_status_and_dashboard() -> None:
    status = BottleStatus(
        slug="demo-00001", agent="demo", backend="bubblewrap", state="idle", reason="", source="output",
        since="2026-01-01T00:00:00Z", cpu_percent=1.4, memory_bytes=70 << 20,
    )  # fmt: skip
    lines = describe(status).split("\n")
    assert "CPU        1%" in lines
    assert "memory     70M" in lines
