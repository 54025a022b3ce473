"""Writing what was approved into the bottle's manifest, where everything else stays as the user wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.approvals.dockerfile import instructions
from bottlemux.approvals.yaml_edit import EditError, append
from bottlemux.errors import BottlemuxError, UsageError
from bottlemux.files import write_atomic
from bottlemux.manifest.loader import load_bottle
from bottlemux.manifest.source import read_user_file
from bottlemux.state.store import BottleStore
from sidecars.supervise import grants

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bottlemux.manifest.models import Bottle
    from bottlemux.manifest.problems import KeyPath
    from bottlemux.paths import Paths
    from sidecars.supervise.proposal import Proposal

_FENCE = "---"


def persist(paths: Paths, proposal: Proposal) -> None:
    """Write ``proposal`` into the manifest of its bottle, in one step. What is there already is not written twice."""
    path, content = new_manifest(paths, proposal)
    target = path.resolve()
    if content != target.read_bytes():
        write_atomic(target, content, mode=target.stat().st_mode & 0o777)


def new_manifest(paths: Paths, proposal: Proposal) -> tuple[Path, bytes]:
    """Return the manifest's path and its new content, checked as it will be read. Writes nothing.

    Raises a ``BottlemuxError`` where there is no manifest of the user's, or it would not say what it should.
    """
    bottle = load_bottle(paths, BottleStore(paths).load(proposal.slug).bottle)
    if proposal.kind == "capability":
        return _new_dockerfile(bottle, proposal)
    path = paths.bottles_config / f"{bottle.name}.md"
    content = read_user_file(path)
    if content is None:
        raise UsageError(
            f"bottle {bottle.name!r} is built in and cannot be changed",
            hint=f"copy {bottle.source} to {path}, or approve without --persist",
        )
    additions = list(_additions(bottle, proposal))
    if not additions:
        return path, content
    return path, _edited(bottle, path, content, additions)


def _new_dockerfile(bottle: Bottle, proposal: Proposal) -> tuple[Path, bytes]:
    """Return the Dockerfile of the user's own image directory with the lines added; its last user stays the last."""
    path = (bottle.source.parent / Path(bottle.image or "").expanduser()).resolve() / "Dockerfile"
    content = read_user_file(path) if bottle.image else None
    if content is None:
        raise UsageError(
            f"bottle {bottle.name!r} names no image directory of yours whose Dockerfile could be added to",
            hint="make one and name it with 'image', or approve without --persist",
        )
    present = content.decode().splitlines()
    new = [line for line in instructions(proposal.request) if line not in present]
    if not new:
        return path, content
    users = [line for line in present if line.split(maxsplit=1)[:1] in (["USER"], ["user"])]
    newline = "" if content.endswith(b"\n") else "\n"
    return path, content + (newline + "\n".join(["", "USER root", *new, *users[-1:]]) + "\n").encode()


def _additions(bottle: Bottle, proposal: Proposal) -> Iterator[tuple[KeyPath, object]]:
    """Yield what is missing in the manifest, each with the list it belongs to."""
    if proposal.kind == "egress":
        present = bottle.egress.routes
        try:
            wanted = grants.with_route(present, grants.asked_route(proposal.request, present))
        except ValueError as error:
            raise BottlemuxError(f"the manifest of bottle {bottle.name!r} cannot get this route") from error
        for route in wanted[len(present) :]:
            yield ("egress", "routes"), route.model_dump(mode="json", exclude_defaults=True)
        return
    for index, remote in enumerate(bottle.git):
        if remote.name == proposal.request.get("remote"):
            granted = grants.with_granted_branches(remote, [proposal]).branches
            for branch in granted[len(remote.branches) :]:
                yield ("git", index, "branches"), branch


def _edited(bottle: Bottle, path: Path, content: bytes, additions: list[tuple[KeyPath, object]]) -> bytes:
    before, front, after = _split(content.decode())
    newline = "\r\n" if before.endswith("\r\n") else "\n"
    try:
        for key, item in additions:
            front = append(front, key, item, newline)
    except (EditError, IndexError) as error:
        raise _by_hand(path) from error
    edited = (before + front + after).encode()
    _check(bottle, path, edited, additions)
    return edited


def _split(text: str) -> tuple[str, str, str]:
    """Return the text up to the front matter, the front matter, and the rest from its closing line."""
    lines = text.splitlines(keepends=True)
    end = next(index for index, line in enumerate(lines) if index and line.rstrip() == _FENCE)
    return lines[0], "".join(lines[1:end]), "".join(lines[end:])


def _check(bottle: Bottle, path: Path, edited: bytes, additions: list[tuple[KeyPath, object]]) -> None:
    from bottlemux.manifest.explain import validate
    from bottlemux.manifest.frontmatter import parse_document
    from bottlemux.manifest.models import Bottle

    document = parse_document(edited, path)
    given = {"name": bottle.name, "description": document.body, "source": path}
    new = validate(Bottle, document, given)
    routes = [item for key, item in additions if key[0] == "egress"]
    grown = len(new.egress.routes) == len(bottle.egress.routes) + len(routes)
    same = (
        new.model_copy(update={"egress": bottle.egress, "git": bottle.git, "source": bottle.source}) == bottle
    )
    if not (grown and same and new.egress.routes[: len(bottle.egress.routes)] == bottle.egress.routes):
        raise _by_hand(path)


def _by_hand(path: Path) -> BottlemuxError:
    return BottlemuxError(
        f"{path} is written in a way that cannot be added to",
        hint="edit it by hand, or approve without --persist",
    )
