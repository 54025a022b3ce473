"""Reading what many panes show, with one call of tmux."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bottlemux.session.server import TmuxServer


def read_screens(server: TmuxServer, pane_ids: Sequence[str]) -> dict[str, str]:
    """Return what each pane shows; raises ``TmuxError`` when one of them is gone.

    The text is the programs' own. None of them can know the line that parts it from another's.
    """
    mark = f"screen {secrets.token_hex(12)} "
    commands: list[list[str]] = []
    for pane_id in pane_ids:
        commands += [["display-message", "-p", mark + pane_id], ["capture-pane", "-p", "-t", pane_id]]
    return _parted(server.batch(commands), mark)


def _parted(lines: Iterable[str], mark: str) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if line.startswith(mark):
            current = found.setdefault(line.removeprefix(mark), [])
        else:
            current.append(line.rstrip())
    return {pane_id: "\n".join(text) for pane_id, text in found.items()}
