"""Status and checks as text for a screen that is not a terminal's scroll-back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.text import size

if TYPE_CHECKING:
    from bottlemux.lifecycle.context import Context
    from bottlemux.lifecycle.status import BottleStatus


def describe_bottle(context: Context, slug: str) -> str:
    """Return a line for each fact about the bottle ``slug``."""
    from bottlemux.lifecycle.status import collect_with_usage

    return describe(collect_with_usage(context, [slug])[0])


def describe(row: BottleStatus) -> str:
    """Return a line for each fact in ``row``; what is not known is left out."""
    facts = [
        ("state", row.state),
        ("why", row.reason),
        ("backend", row.backend),
        ("since", row.since),
        ("known by", row.source),
    ]
    if row.cpu_percent is not None:
        facts.append(("CPU", f"{row.cpu_percent:.0f}%"))
    if row.memory_bytes is not None:
        facts.append(("memory", size(row.memory_bytes)))
    facts += [("refused", f"{row.blocked} requests"), ("asks", f"{row.open_proposals} proposals")]
    facts += list(row.services.items())
    return "\n".join(f"{label:<11}{text}" for label, text in facts if text)


def summary(context: Context, slug: str) -> str:
    """Return two lines about the bottle ``slug``: its state and why, and what it uses."""
    from bottlemux.lifecycle.status import collect_with_usage

    row = collect_with_usage(context, [slug])[0]
    facts = [row.backend, f"{row.blocked} refused"]
    if row.cpu_percent is not None and row.memory_bytes is not None:
        facts += [f"CPU {row.cpu_percent:.0f}%", f"memory {size(row.memory_bytes)}"]
    return f"{row.state}: {row.reason}\n{', '.join(facts)}"


def describe_all(context: Context) -> str:
    """Return a line for each bottle there is a record of."""
    from bottlemux.lifecycle.status import collect

    rows = collect(context)
    if not rows:
        return "no bottles yet"
    width = max(len(row.slug) for row in rows)
    return "\n".join(f"{row.slug:<{width}}  {row.state:<8}  {row.backend:<10}  {row.reason}" for row in rows)


def describe_actions(context: Context) -> str:
    """Return every action with its name and its key, below the headings of the groups."""
    from bottlemux.actions.catalogue import CATALOGUE, grouped
    from bottlemux.actions.keytable import keys_of_actions

    keys = keys_of_actions(context)
    lines: list[str] = []
    for heading, actions in grouped(CATALOGUE):
        lines += [heading, *(f"  {item.name:<14}{keys.get(item.name, ''):<4}{item.help}" for item in actions)]
    return "\n".join(lines)


def describe_machine(context: Context) -> str:
    """Return what works on this machine, and below each trouble the command that mends it."""
    from bottlemux.lifecycle.checks import run_checks

    lines: list[str] = []
    for check in run_checks(context):
        lines.append(f"{check.level:<8} {check.name:<18} {check.detail}")
        if check.fix:
            lines.append(f"{'':<8} {'':<18} mend it: {check.fix}")
    return "\n".join(lines)
