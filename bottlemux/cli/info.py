"""``bottlemux info``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bottlemux.cli import console
from bottlemux.resources import data_dir

if TYPE_CHECKING:
    import argparse

    from backends.presets import Preset
    from bottlemux.lifecycle.context import Context

_HEADINGS = ("PROGRAM", "HERE", "TESTED")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument(
        "agent",
        metavar="AGENT",
        nargs="?",
        help="the agent's name (bottlemux list agents); without one, the programs that are known",
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON document, of the programs that are known"
    )
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Print the resolved agent: program, bottle, routes, git remotes, skills; or the programs with a preset."""
    if options.agent is None or options.json:
        return _programs(as_json=options.json)
    from backends.presets import preset_of
    from bottlemux.lifecycle.planning import StartRequest, plan_start

    planned = plan_start(context, StartRequest(agent=options.agent))
    agent, bottle = planned.spec.resolved.agent, planned.spec.resolved.bottle
    preset = preset_of(agent.program)
    rows = {"manifest": str(agent.source), "bottle in": str(bottle.source), "preset": preset.tested}
    rows |= {
        "resumes": " ".join(preset.resume),
        "keeps": f"~/{preset.conversation}" if preset.conversation else "",
    }
    for name, text in rows.items():
        if text:
            console.write_columns(f"{name:<11}{text}\n")
    planned.print(console.write_columns)
    return 0


def _programs(*, as_json: bool) -> int:
    import shutil

    from backends.presets import PRESETS

    found = {name: shutil.which(name) for name in PRESETS}
    if as_json:
        console.write_json([_record(preset, found[preset.name]) for preset in PRESETS.values()])
        return 0
    rows = [(name, "yes" if found[name] else "no", preset.tested) for name, preset in PRESETS.items()]
    for line in console.table(rows, _HEADINGS):
        sys.stdout.write(line + "\n")
    more = data_dir("docs") / "reference" / "programs.md"
    sys.stdout.write(f"\nAny other command line works too, started as it is. More: {more}\n")
    return 0


def _record(preset: Preset, found: str | None) -> dict[str, str]:
    return {"name": preset.name, "path": found or "", "tested": preset.tested, "install": preset.install}
