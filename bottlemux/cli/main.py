"""The entry point. It imports next to nothing: an ``exec`` takes a short way, all else goes on to ``dispatch``."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every expected error is one line on standard error."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["exec"]:
        from bottlemux.cli.quick import run_exec

        code = run_exec(words)
        if code is not None:
            return code
    from bottlemux.cli.dispatch import dispatch

    return dispatch(words)
