"""The compact preflight: what the agent will be able to see, reach and change, before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottlemux.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backends.contract import BottlePlan
    from sidecars.egress.routes import Route

_LABEL_WIDTH = 11


def lines(plan: BottlePlan, more: Sequence[tuple[str, str]] = ()) -> Iterator[str]:
    """Yield the preflight of ``plan``, a line each, safe for a terminal and without secrets.

    ``more`` are lines of the caller's, as label and text, to stand below the workspace.
    """
    for label, text in _rows(plan, more):
        yield f"{label:<{_LABEL_WIDTH}}{printable(text)}".rstrip()
    for warning in plan.warnings:
        yield f"{'warning':<{_LABEL_WIDTH}}{printable(warning)}"


def _rows(plan: BottlePlan, more: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    spec = plan.spec
    agent, bottle = spec.resolved.agent, spec.resolved.bottle
    origin = " (defined by this project)" if agent.from_project else ""
    known_as = f", as {spec.identity}" if spec.resumed else ""  # a new one's identity is claimed only later
    yield "agent", f"{agent.name}{origin} in bottle {bottle.name}{known_as}"
    yield "backend", plan.backend_name
    yield "program", " ".join([*agent.program, *agent.args, *spec.arguments])
    yield "workspace", f"{spec.workspace} of {spec.directory}"
    yield from more
    yield from plan.details()
    yield from _network(plan)
    for remote in bottle.git:
        yield "git", f"{remote.name}: push {', '.join(remote.branches)} to {remote.upstream}"
    if bottle.env:
        yield "env", ", ".join(sorted(bottle.env))
    if agent.skills:
        yield "skills", ", ".join(agent.skills)
    if spec.prompt:
        yield "prompt", _first_line(spec.prompt)


def _network(plan: BottlePlan) -> Iterator[tuple[str, str]]:
    bottle = plan.spec.resolved.bottle
    if not bottle.egress.routes:
        yield "network", "nothing"
        return
    for index, route in enumerate(bottle.egress.routes):
        yield "network" if index == 0 else "", route_text(route)
    yield "scan", f"pipelock: {bottle.pipelock.mode} ({plan.spec.pipelock_binary})"


def route_text(route: Route) -> str:
    """Return what ``route`` lets through, with which credential; escape it before it reaches a terminal."""
    port = "" if route.port == {"https": 443, "http": 80}[route.scheme] else f":{route.port}"
    text = f"{route.scheme}://{route.host}{port} {','.join(route.methods or ['any method'])}"
    text += f" {' '.join(route.paths)}" if route.paths else " any path"
    if route.token_ref:
        text += f" + {route.token_ref.name} as {route.header}"
    if route.upstream:
        text += f" via {route.upstream}"
    return text


def _first_line(prompt: str) -> str:
    line, _, rest = prompt.partition("\n")
    limit = 60
    return line[:limit] + ("..." if rest or len(line) > limit else "")
