"""The record of a bottle: nothing is lost, and what is wrong is said."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottlemux.errors import BottlemuxError
from bottlemux.identity import is_name, new_slug
from bottlemux.state.metadata import Metadata

RECORD = Metadata(
    identity="demo-abcde",
    agent="demo",
    bottle="demo",
    backend="bubblewrap",
    cwd="/work",
    session_id="00000000-0000-0000-0000-000000000000",
    created_at="2026-01-02T03:04:05Z",
    started_at="2026-01-02T03:04:05Z",
)
WORDS = st.text(max_size=20)
NAMES = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True).filter(is_name)


@given(
    record=st.builds(
        Metadata, identity=NAMES.map(new_slug), agent=NAMES, bottle=NAMES, backend=NAMES, cwd=WORDS,
        session_id=WORDS,
        created_at=WORDS, started_at=WORDS, workspace=WORDS, layout=WORDS, args=st.lists(WORDS).map(tuple),
        base_commit=st.none() | WORDS, from_project=st.booleans(), agent_digest=st.none() | WORDS,
        schema_version=st.just(1),
    )
)  # fmt: skip
def test_round_trip(record: Metadata) -> None:
    assert Metadata.from_json(json.loads(json.dumps(record.to_json())), where="m") == record


CASES = {
    "no object": ([], "m: broken record: not a JSON object"),
    "no version": ({}, "m: broken record: schema_version is missing or no positive number"),
    "version true": (
        {"schema_version": True},
        "m: broken record: schema_version is missing or no positive number",
    ),
    "newer": ({"schema_version": 2}, "m: written by a newer bottlemux (schema 2, this one reads 1)"),
    "missing key": ({"schema_version": 1}, "m: broken record: agent is missing"),
    "wrong type": ({"schema_version": 1, "cwd": 1}, "m: broken record: cwd has an unexpected value"),
    "number among arguments": (
        {"schema_version": 1, "args": ["a", 1]},
        "m: broken record: args has an unexpected value",
    ),
    "text for arguments": (
        {"schema_version": 1, "args": "a"},
        "m: broken record: args has an unexpected value",
    ),
    "identity that is a path": (
        {**RECORD.to_json(), "identity": "../x-abcde"},
        "m: broken record: identity is not of the form AGENT-xxxxx",
    ),
}


@pytest.mark.parametrize(("value", "message"), CASES.values(), ids=CASES.keys())
def test_message_of_a_wrong_record(value: object, message: str) -> None:
    with pytest.raises(BottlemuxError) as caught:
        Metadata.from_json(value, where="m")

    assert caught.value.message == message


def test_optional_keys_have_defaults_and_unknown_ones_are_ignored() -> None:
    value = {
        key: RECORD.to_json()[key]
        for key in RECORD.to_json()
        if key not in {"args", "layout", "from_project"}
    }

    assert Metadata.from_json({**value, "later": 1}, where="m") == RECORD


ODD = st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3))


@given(value=ODD)
def test_no_value_fails_in_another_way(value: object) -> None:
    for name in RECORD.to_json():
        with suppress(BottlemuxError):
            Metadata.from_json({**RECORD.to_json(), name: value}, where="m")


def test_state_imports_nothing_heavy() -> None:
    script = (
        "import sys; import bottlemux.state.store, bottlemux.state.liveness;"
        "print([name for name in ('pydantic', 'ruamel.yaml', 'psutil', 'uuid') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
