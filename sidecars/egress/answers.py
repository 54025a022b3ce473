"""What egress itself says to the agent: refusals, failures of the upstream, and the list of routes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidecars.egress.routes import Route

_PHRASES = {200: "OK", 403: "Forbidden", 404: "Not Found", 502: "Bad Gateway", 504: "Gateway Timeout"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused. ``rule`` names the guard for the audit log only."""

    reason: str
    hint: str
    rule: str = ""

    status = 403


@dataclass(frozen=True, slots=True)
class Failure:
    """The request was allowed but its upstream could not be used. ``detail`` never quotes what upstream sent."""

    detail: str
    rule: str = "upstream"

    status = 502


def document(problem: Refusal | Failure, host: str) -> dict[str, str]:
    """Return the body of an answer as an object."""
    if isinstance(problem, Refusal):
        return {"error": "blocked", "reason": problem.reason, "host": host, "hint": problem.hint}
    return {"error": "upstream", "reason": problem.detail, "host": host, "hint": "the request was allowed"}


def problem_headers(problem: Refusal | Failure) -> list[tuple[str, str]]:
    """Return the headers that tell a block from a failure."""
    if isinstance(problem, Refusal):
        return [("x-bottlemux-block", problem.reason)]
    return [("x-bottlemux-error", "upstream")]


def problem_response(problem: Refusal | Failure, host: str, *, with_body: bool = True) -> bytes:
    """Return the whole answer; the connection is to be closed after it."""
    body = json.dumps(document(problem, host)).encode() + b"\n"
    return _response(problem.status, body, problem_headers(problem), with_body=with_body)


def routes_response(routes: Iterable[Route], path: str, *, with_body: bool = True) -> bytes:
    """Return the answer to a request for the proxy's own host: the routes, without secrets."""
    if path.partition("?")[0] != "/routes":
        return _response(404, b'{"error": "not found", "hint": "try /routes"}\n', [], with_body=with_body)
    body = json.dumps({"routes": [route.public() for route in routes]}, indent=2).encode() + b"\n"
    return _response(200, body, [], with_body=with_body)


def _response(status: int, body: bytes, extra: list[tuple[str, str]], *, with_body: bool) -> bytes:
    headers = [
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
        ("connection", "close"),
        *extra,
    ]
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"HTTP/1.1 {status} {_PHRASES[status]}\r\n{lines}\r\n".encode("latin-1", "replace")
    return head + body if with_body else head
