"""``bottlemux doctor``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bottlemux.cli import console

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from backends.attack import Verdict
    from bottlemux.lifecycle.checks import Check
    from bottlemux.lifecycle.context import Context

_DETAIL_WIDTH = 60
_MARKS = {"ok": "ok", "warning": "warn", "error": "FAIL"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument(
        "--battery",
        metavar="SLUG",
        help="attack this running bottle from inside, harmlessly, and say what held",
    )
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Check this machine; the exit code is 3 when something that is needed does not work."""
    if options.battery:
        return _attack(context, options)
    from bottlemux.lifecycle.checks import run_checks, worst

    with console.progress("looking at this machine"):
        checks = run_checks(context)
    if options.json:
        console.write_json([check.to_json() for check in checks])
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            sys.stdout.write(_line(check, width) + "\n")
    return 3 if worst(checks) == "error" else 0


def _attack(context: Context, options: argparse.Namespace) -> int:
    """Print what became of each attack; the exit code is 1 when one of them worked."""
    from dataclasses import asdict

    from backends.attack import attack
    from bottlemux.lifecycle.running import find_bottle

    record = context.store.load(context.store.resolve_prefix(options.battery))
    verdicts = attack(find_bottle(context, record))
    if options.json:
        console.write_json([asdict(verdict) for verdict in verdicts])
    else:
        rows = [(one.outcome, one.id, one.attempt, one.detail[:_DETAIL_WIDTH]) for one in verdicts]
        for line in console.table(rows, ("outcome", "case", "attempt", "detail")):
            sys.stdout.write(line + "\n")
        console.write_columns(_summary(verdicts) + "\n")
    return 1 if any(verdict.outcome == "broken" for verdict in verdicts) else 0


def _summary(verdicts: Sequence[Verdict]) -> str:
    """Return how many attacks held, which failed, and which were skipped for what reasons."""
    from bottlemux.text import printable

    held, failed, reasons = 0, list[str](), dict[str, list[str]]()
    for one in verdicts:
        match one.outcome:
            case "held":
                held += 1
            case "broken":
                failed.append(one.id)
            case "skipped":
                reasons.setdefault(one.detail, []).append(one.id)
    skipped = sum(map(len, reasons.values()))
    why = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
    return printable(
        f"{held} held, {len(failed)} failed{_in_brackets(', '.join(failed))}, {skipped} skipped{_in_brackets(why)}"
    )


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _line(check: Check, width: int) -> str:
    """Return a finding, its name padded to ``width``, with what mends it below."""
    from bottlemux.text import printable

    indent = width + len("FAIL  ") + 1
    mark = console.coloured(f"{_MARKS[check.level]:<4}", check.level)
    lines = (console.wrapped(printable(line), indent) for line in check.detail.split("\n"))
    text = f"{mark}  {check.name:<{width}} {f'\n{"":<{indent}}'.join(lines)}"
    fix = console.wrapped(f"mend it: {printable(check.fix)}", indent)
    return f"{text}\n{'':<{indent}}{fix}" if check.fix else text
