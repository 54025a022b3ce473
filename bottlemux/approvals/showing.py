"""Proposals as text for the operator: everything the agent wrote is escaped, and cut only visibly."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, cast

from bottlemux.approvals.dockerfile import render
from bottlemux.approvals.effects import new_routes, present_routes
from bottlemux.approvals.finding import granted
from bottlemux.errors import BottlemuxError
from bottlemux.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bottlemux.paths import Paths
    from sidecars.egress.routes import Route
    from sidecars.supervise.proposal import Proposal

_SUMMARY_LENGTH = 160


def summary(proposal: Proposal) -> str:
    """Return one line that says what is asked and why."""
    return cut(f"{request_text(proposal)}: {printable(proposal.reason)}", _SUMMARY_LENGTH)


def request_text(proposal: Proposal) -> str:
    """Return what is asked, whole."""
    request = proposal.request
    if proposal.kind == "egress":
        origin = f"{request.get('scheme')}://{request.get('host')}:{request.get('port')}"
        methods = ",".join(_texts(request.get("methods"))) or "any method"
        paths = " ".join(_texts(request.get("paths"))) or "any path"
        return printable(f"{methods} {origin} {paths}")
    if proposal.kind == "git":
        return printable(f"push {request.get('branch')} to {request.get('remote')}")
    packages, lines = " ".join(_texts(request.get("packages"))), _texts(request.get("dockerfile_lines"))
    return printable("; ".join([*lines, *([packages] if packages else [])]))


def _texts(value: object) -> list[str]:
    return [str(item) for item in cast("list[object]", value)] if isinstance(value, list) else []


def cut(text: str, length: int) -> str:
    """Return ``text`` with at most ``length`` characters, saying how many are missing."""
    if len(text) <= length:
        return text
    mark = f" [+{len(text) - length} characters]"
    return text[: length - len(mark)] + mark


def details(paths: Paths, proposal: Proposal) -> Iterator[str]:
    """Yield the lines that show the whole request and what approving it would change."""
    yield f"proposal {proposal.id}"
    yield f"sha256   {proposal.content_hash}"
    yield f"bottle   {proposal.slug}"
    yield f"kind     {proposal.kind}"
    yield f"state    {proposal.state}"
    yield f"asked    {proposal.created_at}"
    if proposal.decided_at:
        yield f"decided  {proposal.decided_at} by {printable(proposal.decided_by)}"
    if proposal.note:
        yield f"note     {printable(proposal.note)}"
    yield f"asks     {request_text(proposal)}"
    for number, line in enumerate(proposal.reason.splitlines() or [""]):
        yield f"{'because ' if number == 0 else '        '} {printable(line)}"
    if proposal.state == "pending":
        yield from _change(paths, proposal)


def asked(paths: Paths, proposal: Proposal) -> list[str]:
    """Return :func:`details` with names and times last: what is asked for has to be seen on a small screen."""
    lines = list(details(paths, proposal))
    start = next(number for number, line in enumerate(lines) if line.startswith("asks "))
    return [*lines[start:], "", *lines[:start]]


def manifest_change(paths: Paths, proposal: Proposal) -> Iterator[str]:
    """Yield the lines that show what approving ``proposal`` for good would change in the bottle's manifest."""
    from bottlemux.approvals.persisting import new_manifest

    path, content = new_manifest(paths, proposal)
    before, after = path.read_text("utf-8").splitlines(), content.decode().splitlines()
    if before == after:
        yield f"{path} says so already"
    for line in difflib.unified_diff(before, after, str(path), f"{path} if approved", lineterm="", n=3):
        yield printable(line)


def _change(paths: Paths, proposal: Proposal) -> Iterator[str]:
    try:
        before, after, what = _before_and_after(paths, proposal)
    except BottlemuxError as error:
        yield f"cannot be approved: {printable(error.message)}"
        return
    yield from (
        printable(line)
        for line in difflib.unified_diff(
            before, after, f"{what} now", f"{what} if approved", lineterm="", n=3
        )
    )
    if proposal.kind == "capability":
        yield "The engine carries this out as root, with a network of its own: outside the bottle's routes and audit."


def _before_and_after(paths: Paths, proposal: Proposal) -> tuple[list[str], list[str], str]:
    if proposal.kind == "egress":
        return (
            _route_lines(present_routes(paths, proposal.slug)),
            _route_lines(new_routes(paths, proposal)),
            "routes",
        )
    if proposal.kind == "git":
        return [], [f"{proposal.request.get('remote')}: {proposal.request.get('branch')}"], "granted branches"
    before = granted(paths, proposal.slug, "capability")
    return (
        render(before).splitlines() if before else [],
        render([*before, proposal]).splitlines(),
        "Dockerfile",
    )


def _route_lines(routes: Sequence[Route]) -> list[str]:
    return [json.dumps(_shown_route(route), ensure_ascii=True) for route in routes]


def _shown_route(route: Route) -> dict[str, object]:
    shown = cast("dict[str, object]", route.model_dump(mode="json", exclude_defaults=True))
    return {"host": route.host, "port": route.port, "scheme": route.scheme, **shown}
