"""``bottlemux audit``."""

from __future__ import annotations

import json
import sys

from bottlemux.cli import console
from bottlemux.cli.follow import follow

TYPE_CHECKING = False  # see follow
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from bottlemux.lifecycle.context import Context

_MEANINGS = {"allow": "ok", "block": "error", "warn": "warning"}
_MARKS = {"allow": "+", "block": "x", "warn": "!"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument("slug", metavar="SLUG", help="a bottle, running or ended")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as the log grows; Ctrl-C ends")
    parser.add_argument("--json", action="store_true", help="one JSON array; with -f an object a line")
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Print every allow and block of a bottle, the oldest first."""
    audit = context.paths.bottle(context.store.resolve_prefix(options.slug)).audit
    if options.follow:
        show([audit], forever=True, as_json=options.json)
        return 0
    logs = [str(audit.with_name(audit.name + ".1")), str(audit)]
    if options.json:
        lines = ",\n".join(line for _log, line in follow(logs, forever=False) if _is_whole(line))
        sys.stdout.write(f"[\n{lines}\n]\n")
    elif not show(logs):
        console.remark("nothing was asked of the network")
    return 0


def show(logs: Sequence[Path | str], *, forever: bool = False, as_json: bool = False) -> bool:
    """Print the records in ``logs`` and say whether there is any; with ``forever`` go on as they grow."""
    found = False
    if forever and sys.stdout.isatty():
        console.write_columns("what this bottle asks of the network (+ allowed, x refused; Ctrl-C ends)\n")
        sys.stdout.flush()
    for _log, line in follow([str(log) for log in logs], forever=forever):
        sys.stdout.write((line if as_json else _shown(line)) + "\n")
        sys.stdout.flush()
        found = True
    return found


def _is_whole(line: str) -> bool:
    """Tell whether ``line`` is a record: one that was torn where the disk was full stands whole on the next line."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _shown(line: str) -> str:
    from bottlemux.text import printable

    try:
        entry: dict[str, object] = json.loads(line)
        decision = str(entry["decision"])
    except (ValueError, TypeError, KeyError):
        return printable(line)
    time = str(entry.get("ts", ""))[11:19]
    target = f"{entry.get('host') or '-'}:{entry.get('port') or '-'}{entry.get('path') or ''}"
    status = entry.get("status") or ""
    text = printable(
        f"{time} {_MARKS.get(decision, '?')} {entry.get('sidecar')} {entry.get('method') or '-'} {target} "
        f"{status} {entry.get('reason') or ''}".rstrip()
    )
    return console.coloured(text, _MEANINGS.get(decision, ""))
