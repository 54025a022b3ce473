"""Recorded sessions of Claude Code, replayed: at each moment that a person judged, the verdict is theirs.

``record.py`` makes the recordings with the real program.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from bottlemux.lifecycle.judging import Observed, as_text, judge
from bottlemux.lifecycle.observing import shows_prompt
from sidecars.supervise.activity import after, parse_event
from tests.status.record import SCENARIOS, STREAMS

if TYPE_CHECKING:
    from bottlemux.lifecycle.judging import Verdict
    from sidecars.supervise.activity import Activity

NAMES = [scenario.__name__ for scenario in SCENARIOS]


def entries(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (STREAMS / f"{name}.jsonl").read_text("utf-8").splitlines()]


def observed(moment: dict[str, Any], began: float, activity: Activity | None) -> Verdict:
    return judge(
        Observed(
            now=moment["at"],
            alive=True,
            recorded_at=as_text(began),
            launched_at=as_text(began),
            has_pane=True,
            pane_ended=moment["ended"],
            pane_began=began - 10,
            output_at=float(moment["output_at"]),
            activity=activity,
            at_prompt=shows_prompt("\n".join(moment["screen"])),
        )
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_session_is_judged_as_a_person_would(name: str) -> None:
    recorded = entries(name)
    activity: Activity | None = None
    judged = []
    for entry in recorded:
        if "event" in entry:
            activity = after(activity, parse_event(json.dumps(entry["event"]).encode()), entry["at"])
        else:
            verdict = observed(entry, recorded[0]["at"], activity)
            judged.append((entry["expect"], verdict.state, verdict.reason))
    assert [state for _, state, _ in judged] == [state for state, _, _ in judged], judged
    assert judged


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_recorded_session_sticks(name: str) -> None:
    """An hour after the last event, with a still window, nothing works any more."""
    recorded = entries(name)
    activity: Activity | None = None
    for entry in recorded:
        if "event" in entry:
            activity = after(activity, parse_event(json.dumps(entry["event"]).encode()), entry["at"])
    last = [entry for entry in recorded if "expect" in entry][-1]
    verdict = observed({**last, "at": last["at"] + 3600}, recorded[0]["at"], activity)
    assert verdict.state == last["expect"]
