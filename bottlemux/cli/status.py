"""``bottlemux status``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bottlemux.cli import console
from bottlemux.text import age, size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from bottlemux.lifecycle.context import Context
    from bottlemux.lifecycle.status import BottleStatus

_HEADINGS = ("SLUG", "STATE", "SINCE", "BACKEND", "CPU", "MEMORY", "BLOCKED", "ASKS", "WHY")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument("slug", metavar="SLUG", nargs="?", help="only this bottle, with its sidecars")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Print a row for each bottle there is a record of."""
    from bottlemux.lifecycle.status import collect_with_usage

    rows = collect_with_usage(context, [options.slug] if options.slug else None)
    if options.json:
        console.write_json([row.to_json() for row in rows])
        return 0
    for line in _lines([_cells(row) for row in rows]):
        sys.stdout.write(line + "\n")
    if not rows:
        console.remark("no bottle yet; bottlemux start AGENT makes one (bottlemux list agents)")
    if options.slug:
        sys.stdout.write(f"  known by: {rows[0].source}\n")
        for name, text in rows[0].services.items():
            sys.stdout.write(f"  {name}: {text}\n")
    return 0


def _lines(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Yield the table; where a terminal is too narrow for it, each reason stands below its row."""
    from bottlemux.text import printable

    lines = list(console.table(rows, _HEADINGS))
    if all(map(console.fits, lines)):
        yield from lines
        return
    heading, *short = console.table([row[:-1] for row in rows], _HEADINGS[:-1])
    yield heading
    for line, row in zip(short, rows, strict=True):
        yield from (line, f"  {printable(row[-1])}")


def _cells(row: BottleStatus) -> tuple[str, ...]:
    cpu = "-" if row.cpu_percent is None else f"{row.cpu_percent:.0f}%"
    return (
        row.slug, row.state, age(row.since), row.backend, cpu, size(row.memory_bytes),
        str(row.blocked), str(row.open_proposals), row.reason,
    )  # fmt: skip
