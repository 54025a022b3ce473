"""``bottlemux info``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from bottlemux.lifecycle.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to ``parser``."""
    parser.add_argument("agent", metavar="AGENT", help="the agent's name (bottlemux list agents)")
    parser.set_defaults(run=run)


def run(context: Context, options: argparse.Namespace) -> int:
    """Print the resolved agent: program, bottle, routes, git remotes, skills."""
    from backends.presets import preset_of
    from bottlemux.lifecycle.planning import StartRequest, plan_start

    planned = plan_start(context, StartRequest(agent=options.agent))
    agent, bottle = planned.spec.resolved.agent, planned.spec.resolved.bottle
    sys.stdout.write(f"{'manifest':<11}{agent.source}\n{'bottle in':<11}{bottle.source}\n")
    sys.stdout.write(f"{'preset':<11}{preset_of(agent.program).tested}\n")
    planned.plan.print(sys.stdout.write)
    return 0
