"""What counts as upstream's confirmation, as a table of what git push may print."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from sidecars.git_gate.children import Ended
from sidecars.git_gate.explain import upstream_failure, upstream_lines
from sidecars.git_gate.policy import RefUpdate
from sidecars.git_gate.pushon import push_on
from sidecars.git_gate.refusal import Refused

from .test_remotes import remote

if TYPE_CHECKING:
    from sidecars.git_gate.gitcmd import Git

A, B = "refs/heads/a", "refs/heads/b"
UPDATES = [RefUpdate("0" * 40, "1" * 40, A), RefUpdate("0" * 40, "1" * 40, B)]


class _Git:
    """Stands for a git whose push ends as given: a real one cannot be made to contradict itself."""

    def __init__(self, ended: Ended) -> None:
        self._ended = ended

    async def run(self, *arguments: str, timeout_s: float = 0) -> Ended:
        return self._ended


def line(flag: str, ref: str, summary: str = "[new branch]") -> str:
    return f"{flag}\t{'1' * 40}:{ref}\t{summary}\n"


@pytest.mark.parametrize(
    ("code", "out", "confirmed"),
    [
        pytest.param(0, line("*", A) + line("*", B) + "Done\n", True, id="both"),
        pytest.param(0, line("=", A) + line(" ", B) + "Done\n", True, id="up-to-date"),
        pytest.param(0, line("*", A) + "Done\n", False, id="one-is-missing"),
        pytest.param(0, "", False, id="silence"),
        pytest.param(0, line("*", A) + line("!", B, "[remote rejected] (no)"), False, id="one-rejected"),
        pytest.param(0, line("*", A) + line("?", B), False, id="unknown-flag"),
        pytest.param(1, line("*", A) + line("*", B), False, id="failed-after-all"),
        pytest.param(-1, line("*", A) + line("*", B), False, id="killed"),
        pytest.param(0, line("*", A) + line("*", "refs/heads/bb"), False, id="another-ref"),
    ],
)
def test_confirmation(code: int, out: str, confirmed: bool) -> None:
    git = cast("Git", _Git(Ended(code, f"To x\n{out}".encode(), b"remote: hello\n")))
    if confirmed:
        assert asyncio.run(push_on(git, remote(), UPDATES, timeout_s=1)) == ["hello"]
        return
    with pytest.raises(Refused) as caught:
        asyncio.run(push_on(git, remote(), UPDATES, timeout_s=1))
    assert caught.value.reason == "upstream"
    assert caught.value.lines()[0] == "hello"


HOST_WORDS = b"""Load key "/home/op/.ssh/id": error in libcrypto
Warning: Identity file /home/op/.ssh/id not accessible
git@h: Permission denied (publickey).
fatal: Could not read from remote repository.
"""


def test_only_upstream_is_quoted() -> None:
    stderr = b"remote: one\rremote: two \x1b[31m\n" + HOST_WORDS + b"remote:\nremote: three\n"
    assert upstream_lines(stderr) == ["one", "two ?[31m", "three"]


def test_the_cause_is_named_without_the_hosts_files() -> None:
    lines = " ".join(upstream_failure(HOST_WORDS, doing="fetching").lines())
    assert "does not accept the gate's key" in lines
    assert "/home" not in lines
