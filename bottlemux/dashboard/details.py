"""Everything about the selected bottle, read beside the screen."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple, cast

from bottlemux.errors import BottlemuxError
from bottlemux.screens.lines import text_lines
from bottlemux.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bottlemux.dashboard.board import Row
    from bottlemux.lifecycle.context import Context
    from sidecars.supervise.proposal import Proposal

_REFUSALS = 5
_PANE_LINES = 60
_TAIL_BYTES = 64 * 1024


_SOURCES = {
    "record": "bottle's record", "supervisor": "bottle's supervisor", "window": "bottle's window",
    "approvals": "open request", "program": "agent's own reports", "output": "output in its pane",
}  # fmt: skip


class Details(NamedTuple):
    """One bottle. ``asked`` is the whole text of its proposal ``ask``, which a decision is bound to."""

    slug: str = ""
    ask: str = ""
    asked: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    screen: tuple[str, ...] = ()


def read_details(context: Context, row: Row, proposal: Proposal | None) -> Details:
    """Look at one bottle. Every line is safe to show; what cannot be read is a line that says so."""
    from bottlemux.approvals.showing import asked

    return Details(
        row.slug,
        proposal.id if proposal is not None else "",
        tuple(asked(context.paths, proposal)) if proposal is not None else (),
        tuple(_facts(context, row)),
        tuple(_screen(context, row.slug)),
    )


def _facts(context: Context, row: Row) -> Iterator[str]:
    status = row.status
    yield f"why       {printable(status.reason)}"
    yield f"known by  the {_SOURCES.get(status.source, status.source)}"
    yield f"agent     {printable(status.agent)} in {status.backend}"
    for name, text in status.services.items():
        if text != "running":
            yield f"sidecar   {printable(name)}: {printable(text)}"
    yield from _routes(context, row.slug)
    yield from _refusals(context, row)


def _routes(context: Context, slug: str) -> Iterator[str]:
    from backends.preflight import route_text
    from bottlemux.approvals.effects import present_routes

    try:
        routes = present_routes(context.paths, slug)
    except BottlemuxError as error:
        yield f"routes    {printable(error.message)}"
        return
    yield from _listed("reaches", [printable(route_text(route)) for route in routes] or ["nothing"])


def _refusals(context: Context, row: Row) -> Iterator[str]:
    latest = _latest_refusals(context.paths.bottle(row.slug).audit)
    if latest:
        yield from _listed("refused", latest)
        if row.status.blocked > len(latest):
            yield f"{'':<10}and {row.status.blocked - len(latest)} before"


def _latest_refusals(audit: Path) -> list[str]:
    from bottlemux.lifecycle.observing import is_block

    try:
        with audit.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _TAIL_BYTES))
            lines = stream.read().splitlines()
    except OSError:
        return []
    found = [line for line in reversed(lines) if b'"block"' in line and is_block(line)]
    return [_refusal(cast("dict[str, object]", json.loads(line))) for line in found[:_REFUSALS]]


def _refusal(entry: dict[str, object]) -> str:
    time = str(entry.get("ts", ""))[11:19]
    target = f"{entry.get('host') or '-'}:{entry.get('port') or '-'}{entry.get('path') or ''}"
    return printable(f"{time} {entry.get('reason') or '-'}: {entry.get('method') or '-'} {target}")


def _listed(label: str, texts: list[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        yield f"{label if number == 0 else '':<10}{text}"


def _screen(context: Context, slug: str) -> list[str]:
    try:
        window = context.workspace.find(slug)
        pane = window.pane("agent") if window is not None else None
        return _pane_lines(context.workspace.capture(pane.pane_id, _PANE_LINES)) if pane is not None else []
    except BottlemuxError as error:
        return [printable(error.message)]


def _pane_lines(text: str) -> list[str]:
    # Agents draw with no-break spaces, which are harmless; escaped, they would drown what is to be read.
    return text_lines(text.replace("\xa0", " "))
