"""What may be asked for at all, decided before the operator is bothered with it. Pure."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pydantic import ValidationError

from sidecars.egress import names
from sidecars.supervise import grants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecars.egress.routes import Route
    from sidecars.supervise.asks import CapabilityAsk, EgressAsk, GitAsk
    from sidecars.supervise.spec import RemoteBranches

_HEADS = "refs/heads/"
_BRANCH = re.compile(r"\w[\w./+@#=,%-]*")
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
# Not with a dash at the end, by which apt removes a package.
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{0,98}[a-z0-9+.](=[A-Za-z0-9.+:~-]{1,60})?")
_INSTRUCTION = re.compile(r"(RUN|ENV|ARG) \S.*")
_MAX_BRANCH_BYTES = 240
_HTTP_PORT = 80
_HTTPS_PORT = 443
_OWN_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")


class Refused(Exception):  # noqa: N818 - the answer, not a failure
    """What is not put before the operator; the text says why, to the agent."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(text)
        self.rule = rule
        self.text = text


class AlreadyAllowed(Exception):  # noqa: N818 - the answer, not a failure
    """The policy in force allows it; the text says so, to the agent."""


def egress_request(ask: EgressAsk, routes: Sequence[Route]) -> dict[str, object]:
    """Return the canonical form of what ``ask`` asks beside the ``routes`` in force."""
    host = _checked_host(ask.host)
    scheme = ask.scheme or ("http" if ask.port == _HTTP_PORT else "https")
    port = ask.port or (_HTTP_PORT if scheme == "http" else _HTTPS_PORT)
    wanted: dict[str, object] = {"host": host, "port": port, "scheme": scheme}
    if ask.methods is not None:
        wanted["methods"] = sorted({method.upper() for method in ask.methods})
    if ask.paths is not None:
        wanted["paths"] = sorted(set(ask.paths))
    try:
        route = grants.asked_route(wanted, routes)
    except grants.CredentialedHost:
        text = "requests to this host carry a credential; only the operator's manifest can widen its use"
        raise Refused("credential", text) from None
    except ValidationError as error:
        raise Refused("malformed", _first_message(error)) from None
    if grants.is_covered(routes, route):
        raise AlreadyAllowed("the routes allow this already; see list-egress-routes")
    return wanted


def _checked_host(text: str) -> str:
    if "*" in text:
        raise Refused("wildcard", "a wildcard cannot be asked for: name one host")
    try:
        host = names.canonical_host(names.to_ascii(text))
    except ValueError:
        host = None
    if host is None:
        raise Refused("malformed", "this is not a host name in its usual form")
    if names.as_address(host) is not None or host in _OWN_NAMES or host.endswith(".localhost"):
        raise Refused("address", "an address cannot be asked for: name the host")
    if names.is_reserved(host):
        raise Refused("reserved", "sidecars and metadata services are never a destination")
    return host


def _first_message(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg'].removeprefix('Value error, ')}" if place else first["msg"]


def git_request(ask: GitAsk, remotes: Sequence[RemoteBranches]) -> dict[str, object]:
    """Return the canonical form of what ``ask`` asks: a branch of one of ``remotes``."""
    prefix, colon, rest = ask.ref.partition(":")
    remote = _find_remote(prefix if colon else "", remotes)
    branch = (rest if colon else ask.ref).removeprefix(_HEADS)
    if branch.startswith("refs/"):
        raise Refused(
            "ref", "only branches can be asked for: tags and other refs are the manifest's to allow"
        )
    if set("*?[") & set(branch):
        raise Refused("wildcard", "a pattern cannot be asked for: name one branch")
    if not _is_branch(branch):
        raise Refused("malformed", "this is not the name of a branch that may be pushed")
    if any(fnmatchcase(branch, pattern) for pattern in remote.branches):
        raise AlreadyAllowed(
            "this branch may be pushed already; tags, deletions and force are the manifest's"
        )
    return {"remote": remote.name, "branch": branch}


def _find_remote(name: str, remotes: Sequence[RemoteBranches]) -> RemoteBranches:
    if not remotes:
        raise Refused("no-remote", "this bottle has no git remote")
    known = ", ".join(remote.name for remote in remotes)
    if not name and len(remotes) > 1:
        raise Refused("malformed", f"say which remote is meant, as REMOTE:branch (known: {known})")
    for remote in remotes:
        if name in {"", remote.name}:
            return remote
    raise Refused("no-remote", f"no such git remote (known: {known})")


def _is_branch(branch: str) -> bool:
    parts = branch.split("/")
    return (
        _BRANCH.fullmatch(branch) is not None
        and len(branch.encode()) <= _MAX_BRANCH_BYTES
        and branch != "HEAD"
        and _OBJECT_ID.fullmatch(branch) is None
        and ".." not in branch
        and not branch.endswith(".")
        and not any(part == "" or part.startswith(".") or part.endswith(".lock") for part in parts)
    )


def capability_request(ask: CapabilityAsk) -> dict[str, object]:
    """Return the canonical form of what ``ask`` asks: packages, or lines of a Dockerfile."""
    packages = sorted(set(ask.packages or ()))
    lines = list(ask.dockerfile_lines or ())
    if not packages and not lines:
        raise Refused("malformed", "name packages or dockerfile_lines")
    for package in packages:
        if not _PACKAGE.fullmatch(package):
            raise Refused("malformed", "a package is named in small letters, digits and + . -")
    for line in lines:
        if not line.isprintable() or not _INSTRUCTION.fullmatch(line) or _runs_on(line):
            raise Refused("malformed", "a line is one whole RUN, ENV or ARG instruction, without options")
    return {"packages": packages, "dockerfile_lines": lines}


def _runs_on(line: str) -> bool:
    """Tell whether an instruction would take lines after it along, or has options: other images, mounts, privileges."""
    return line.rstrip().endswith("\\") or "<<" in line or line.split()[1].startswith("--")
