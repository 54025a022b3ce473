"""Decisions on ref updates, as tables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.git_gate.policy import RefUpdate, check_history, check_update, parse_updates
from sidecars.git_gate.refusal import Refused, printable

from .test_remotes import remote

ZERO, A, B = "0" * 40, "a" * 40, "b" * 40


def refusal_of(update: RefUpdate, **changes: Any) -> str:
    try:
        check_update(update, remote(**changes))
    except Refused as refused:
        return refused.reason
    return ""


@pytest.mark.parametrize(
    ("ref", "changes", "reason"),
    [
        ("refs/heads/main", {}, ""),
        ("refs/heads/fix/#12", {}, ""),
        ("refs/heads/grün", {}, ""),
        ("refs/heads/main", {"branches": ("bottlemux/*",)}, "ref-not-allowed"),
        ("refs/heads/bottlemux/a", {"branches": ("bottlemux/*",)}, ""),
        ("refs/heads/a", {"branches": ()}, "ref-not-allowed"),
        ("refs/tags/v1", {}, "tag-not-allowed"),
        ("refs/tags/v1", {"allow_tags": True}, ""),
        ("refs/foo", {}, "ref-not-allowed"),
        ("refs/foo/bar", {"allow_tags": True}, "ref-not-allowed"),
        ("refs/replace/" + A, {}, "ref-not-allowed"),
        ("refs/notes/commits", {}, "ref-not-allowed"),
        ("refs/pull/1/head", {}, "ref-not-allowed"),
        ("refs/Heads/main", {}, "ref-not-allowed"),
        ("refs/heads/--upload-pack=x", {}, "ref-not-allowed"),
        ("refs/heads/a;touch${IFS}x", {}, "ref-not-allowed"),
        ("refs/heads/$(id)", {}, "ref-not-allowed"),
        ("refs/heads/a`id`", {}, "ref-not-allowed"),
        ("refs/heads/a|b", {}, "ref-not-allowed"),
        ("refs/heads/a\u202eb", {}, "ref-not-allowed"),
        ("refs/heads/a\x1b[2Jb", {}, "ref-not-allowed"),
        ("refs/heads/HEAD", {}, "ref-not-allowed"),
        ("refs/heads/" + A, {}, "ref-not-allowed"),
        ("refs/heads/" + "x" * 250, {}, "ref-not-allowed"),
        ("refs/heads/", {}, "ref-not-allowed"),
        ("HEAD", {}, "ref-not-allowed"),
        ("", {}, "ref-not-allowed"),
    ],
)
def test_names(ref: str, changes: dict[str, Any], reason: str) -> None:
    assert refusal_of(RefUpdate(ZERO, A, ref), **changes) == reason


def test_deletion_needs_permission() -> None:
    gone = RefUpdate(A, ZERO, "refs/heads/a")
    assert refusal_of(gone) == "delete-not-allowed"
    assert refusal_of(gone, allow_delete=True) == ""


@pytest.mark.parametrize(
    ("update", "current", "forward", "changes", "reason"),
    [
        pytest.param(RefUpdate(ZERO, A, "refs/heads/a"), "", True, {}, "", id="create"),
        pytest.param(RefUpdate(ZERO, A, "refs/heads/a"), B, True, {}, "stale", id="lies-that-it-is-new"),
        pytest.param(RefUpdate(A, B, "refs/heads/a"), "", True, {}, "stale", id="gone-meanwhile"),
        pytest.param(RefUpdate(A, B, "refs/heads/a"), B, True, {}, "stale", id="moved-meanwhile"),
        pytest.param(RefUpdate(A, B, "refs/heads/a"), A, True, {}, "", id="forward"),
        pytest.param(RefUpdate(A, B, "refs/heads/a"), A, False, {}, "force-not-allowed", id="rewrite"),
        pytest.param(RefUpdate(A, B, "refs/heads/a"), A, False, {"allow_force": True}, "", id="rewrite-allowed"),
        pytest.param(RefUpdate(A, B, "refs/tags/a"), A, True, {"allow_tags": True}, "force-not-allowed", id="move-tag"),
    ],
)  # fmt: skip
def test_history(
    update: RefUpdate, current: str, forward: bool, changes: dict[str, Any], reason: str
) -> None:
    found = ""
    try:
        check_history(update, remote(**changes), current=current, fast_forward=forward)
    except Refused as refused:
        found = refused.reason
    assert found == reason


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="none"),
        pytest.param([f"{ZERO} {A} refs/heads/a".encode()] * 4, id="too-many"),
        pytest.param([b"x"], id="garbage"),
        pytest.param([f"{ZERO} --all refs/heads/a".encode()], id="option-as-oid"),
        pytest.param([f"{ZERO} {A} refs/heads/".encode() + b"\xff"], id="not-utf-8"),
    ],
)
def test_malformed_questions(lines: list[bytes]) -> None:
    with pytest.raises(Refused):
        parse_updates(lines, limit=3)


@given(st.text(max_size=300))
def test_every_name_is_decided(ref: str) -> None:
    """No name makes the policy raise anything else, and what it lets through is a plain branch name."""
    reason = refusal_of(RefUpdate(ZERO, A, ref))
    assert reason or (
        ref.startswith("refs/heads/") and ref.isprintable() and not set(ref) & set(" ;$`|&<>'\"\\(){}!*?[~^:")
    )


@given(st.text(max_size=100))
def test_shown_text_is_printable(text: str) -> None:
    assert printable(text).isprintable()
