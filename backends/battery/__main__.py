"""Run the battery: its options are one JSON object, its output is one JSON object a case."""

from __future__ import annotations

import json
import sys
from typing import cast

from . import files, kernel, names, network, privileges, processes, resources, terminal
from .case import Targets, row_text, verdict

TABLES = (
    network.TABLE,
    names.TABLE,
    processes.TABLE,
    privileges.TABLE,
    kernel.TABLE,
    files.TABLE,
    terminal.TABLE,
    resources.TABLE,
)


def main(text: str | bytes) -> None:
    """Run the cases that ``text`` asks for: ``targets``, ``rough`` and ``only`` (ids) in one JSON object."""
    options = cast("dict[str, object]", json.loads(text))
    targets = Targets(**cast("dict[str, str]", options.get("targets", {})))  # type: ignore[arg-type]
    only = cast("list[str]", options.get("only", []))
    for case in (case for table in TABLES for case in table.cases):
        if case.id in only or (not only and (not case.rough or options.get("rough"))):
            sys.stdout.write(row_text(verdict(case, targets)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(cast("bytes", globals()["OPTIONS"]))
