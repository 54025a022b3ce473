"""The state of a bottle: the strongest evidence decides, and nothing sticks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bottlemux.lifecycle.judging import Asked, Observed, judge
from sidecars.supervise.activity import Activity

NOW = 1_800_000_000.0
RUNNING = Observed(
    now=NOW, alive=True, recorded_at="2026-01-01T00:00:00Z", launched_at="2026-01-01T00:00:01Z", has_pane=True,
    pane_began=NOW - 100, output_at=NOW - 50,
)  # fmt: skip


def doing(state: str, ago: float = 20.0, *pending: tuple[str, str]) -> Activity:
    return Activity(state, "why", NOW - ago, NOW - ago, pending=pending)  # type: ignore[arg-type]


ASKS = doing("waiting", 20.0, ("", "Bash"))
CASES: dict[str, tuple[Observed, str, str]] = {
    "stopped": (replace(RUNNING, alive=False, stopped_at="2026-01-01T00:00:03Z"), "exited", "record"),
    "lost with the machine": (replace(RUNNING, alive=False, launched_at=""), "exited", "record"),
    "killed": (replace(RUNNING, alive=False), "broken", "supervisor"),
    "launching": (replace(RUNNING, launched_at="", has_pane=False), "starting", "supervisor"),
    "a sidecar is down": (replace(RUNNING, restarting=("egress",)), "broken", "supervisor"),
    "no window": (replace(RUNNING, has_pane=False), "broken", "window"),
    "the program ended": (replace(RUNNING, pane_ended="exit code 0"), "exited", "window"),
    "ended at work": (replace(RUNNING, pane_ended="signal KILL", activity=doing("working")), "exited", "window"),
    "ended while it waited": (replace(RUNNING, pane_ended="signal KILL", activity=ASKS), "exited", "window"),
    "waits for the operator": (replace(RUNNING, asked=Asked("x", "2026-01-01T00:00:02Z")), "waiting", "approvals"),
    "program begins": (replace(RUNNING, pane_began=NOW - 1, output_at=NOW), "starting", "output"),
    "output": (replace(RUNNING, output_at=NOW - 1), "working", "output"),
    "no output": (RUNNING, "idle", "output"),
    "works": (replace(RUNNING, activity=doing("working"), output_at=NOW - 1), "working", "program"),
    "interrupted": (replace(RUNNING, activity=doing("working")), "idle", "output"),
    "nobody watches it work": (replace(RUNNING, activity=replace(doing("working"), attended=False)), "working",
                               "program"),
    "has just begun to work": (replace(RUNNING, activity=doing("working", 1.0)), "working", "program"),
    "finished": (replace(RUNNING, activity=doing("finished")), "finished", "program"),
    "finished, and its shell is busy": (replace(RUNNING, activity=doing("finished"), output_at=NOW), "finished",
                                        "program"),
    "asks": (replace(RUNNING, activity=ASKS), "waiting", "program"),
    "asks, and draws": (replace(RUNNING, activity=ASKS, output_at=NOW), "waiting", "program"),
    "permitted, the tool runs": (replace(RUNNING, activity=ASKS, output_at=NOW, at_prompt=True), "working", "output"),
    "question dismissed": (replace(RUNNING, activity=ASKS, at_prompt=True), "idle", "output"),
    "failed, and at its prompt": (
        replace(RUNNING, activity=replace(doing("waiting"), event="StopFailure"), at_prompt=True), "waiting", "program"
    ),
    "of an earlier run": (replace(RUNNING, activity=doing("waiting", 200.0)), "idle", "output"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_state_and_source(name: str) -> None:
    seen, state, source = CASES[name]
    verdict = judge(seen)
    assert (verdict.state, verdict.source) == (state, source)
    assert verdict.reason
    assert verdict.since.endswith("Z")
