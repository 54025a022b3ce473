"""``bottlemux list``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bottlemux.cli import console

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from bottlemux.lifecycle.context import Context

type Rows = list[tuple[str, ...]]

COLUMNS = {
    "active": ("backend", "slug", "agent", "services"),
    "agents": ("name",),
    "backends": ("name", "state", "reason"),
    "bottles": ("name",),
    "layouts": ("name",),
    "resumable": ("backend", "slug", "agent", "directory", "ended"),
}
"""What the columns of each listing are called, in its JSON form and as headings."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument(
        "what",
        metavar="WHAT",
        nargs="?",
        choices=sorted(_LISTINGS),
        default="active",
        help=f"{', '.join(sorted(_LISTINGS))} (default: active); columns are tab-separated but at a terminal",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document: an object for each line")
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Print a line for each thing."""
    rows = _LISTINGS[options.what](context)
    if options.json:
        console.write_json([dict(zip(COLUMNS[options.what], row, strict=True)) for row in rows])
        return 0
    if not rows:
        console.remark(_NOTHING.get(options.what, f"no {options.what}"))
        return 0
    console.write_rows(rows, COLUMNS[options.what])
    return 0


def _active(context: Context) -> Rows:
    from backends.registry import enumerate_active_agents

    failures: list[str] = []
    rows: Rows = [
        (agent.backend_name, agent.slug, agent.agent_name, ",".join(agent.services))
        for agent in enumerate_active_agents(paths=context.paths, failures=failures)
    ]
    for failure in failures:
        sys.stderr.write(f"bottlemux: warning: {failure}\n")
    return rows


def _agents(context: Context) -> Rows:
    from bottlemux.manifest.loader import list_agents

    return [(name,) for name in list_agents(context.paths, context.cwd)]


def _bottles(context: Context) -> Rows:
    from bottlemux.manifest.loader import list_bottles

    return [(name,) for name in list_bottles(context.paths)]


def _backends(context: Context) -> Rows:
    from bottlemux.lifecycle.checks.engines import LONG_PATIENCE_S, availabilities

    rows: Rows = []
    for name, answer in availabilities(context, LONG_PATIENCE_S).items():
        reason = "does not answer" if answer is None else answer.reason
        rows.append((name, "available" if answer else "unavailable", reason))
    return rows


def _layouts(context: Context) -> Rows:
    from bottlemux.manifest.loader import list_layouts

    return [(name,) for name in list_layouts(context.paths, context.cwd)]


def _resumable(context: Context) -> Rows:
    from bottlemux.lifecycle.resuming import fate
    from bottlemux.state.metadata import Metadata

    rows = [
        (record, fate(context, record.identity))
        for record in context.store.list()
        if isinstance(record, Metadata)
    ]
    return [
        (record.backend, record.identity, record.agent, record.cwd, what)
        for record, what in rows
        if what != "running"
    ]


_NOTHING = {"active": "no bottle runs", "resumable": "no bottle has ended"}
_LISTINGS: dict[str, Callable[[Context], Rows]] = {
    "active": _active,
    "agents": _agents,
    "backends": _backends,
    "bottles": _bottles,
    "layouts": _layouts,
    "resumable": _resumable,
}
