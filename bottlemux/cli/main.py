"""The entry point. It imports next to nothing: some commands take short ways, all else ``dispatch``."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_HANDED_OVER = (["approvals"], ["attach"], ["list"], ["palette"], ["start"], ["status"], ["stop"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every expected error is one line on standard error."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    code = _run_shortly(words)
    if code is not None:
        return code
    from bottlemux.cli.dispatch import dispatch

    return dispatch(words)


def _run_shortly(words: list[str]) -> int | None:
    """Return the exit code of a command that has a short way and could take it; ``None`` if nothing was done."""
    if "_ARGCOMPLETE" in os.environ:
        from bottlemux.cli.completing import answer

        answer()
    if words[:1] == ["exec"]:
        from bottlemux.cli.quick import run_exec

        return run_exec(words)
    if words[:1] == ["audit"]:
        from bottlemux.cli.quick import follow_audit

        return follow_audit(words)
    if words[:1] in _HANDED_OVER or words[:2] == ["keys", "act"]:
        from bottlemux.cli.handover import hand_over

        return hand_over(words)
    return None
