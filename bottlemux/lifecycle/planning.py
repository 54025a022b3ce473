"""From a request to a plan: everything that is decided before anything is made."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.contract import BottleSpec
from backends.registry import get_bottle_backend
from bottlemux.errors import UsageError
from bottlemux.identity import new_slug
from bottlemux.lifecycle import conversations
from bottlemux.lifecycle.credentials import find_sources
from bottlemux.lifecycle.engines import BUILTIN, gitleaks_binary, pipelock_binary
from bottlemux.manifest.config import load_config
from bottlemux.manifest.loader import resolve
from bottlemux.session.layout_files import find_window
from bottlemux.state.liveness import is_alive
from bottlemux.state.metadata import Metadata
from bottlemux.state.store import BottleStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from backends.contract import BottleBackend, BottlePlan
    from bottlemux.lifecycle.context import Context
    from bottlemux.manifest.loader import ResolvedAgent


@dataclass(frozen=True)
class StartRequest:
    """What the operator asked for; ``None`` leaves the choice to manifests and configuration."""

    agent: str
    backend: str | None = None
    cwd: Path | None = None
    workspace: str | None = None
    layout: str | None = None
    prompt: str = ""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Planned:
    """A plan with the backend that will carry it out."""

    backend: BottleBackend[Any, Any]
    plan: BottlePlan
    layout: str

    @property
    def spec(self) -> BottleSpec:
        """What is planned."""
        return self.plan.spec

    def print(self, write: Callable[[str], object]) -> None:
        """Write the compact preflight, with what the backend does not know: the layout, and who shares the files."""
        sharing = [("", f"{slug} has it mounted, too") for slug in _sharing(self.spec)]
        self.plan.print(write, [*sharing, ("layout", self.layout)])


def _sharing(spec: BottleSpec) -> list[str]:
    """Return the other bottles that run and have the same directory mounted."""
    if spec.workspace != "mount":
        return []
    return [
        record.identity
        for record in BottleStore(spec.paths).list()
        if isinstance(record, Metadata)
        and (record.workspace, record.cwd) == ("mount", str(spec.directory))
        and record.identity != spec.identity
        and is_alive(spec.paths.bottle(record.identity))
    ]


def plan_start(context: Context, request: StartRequest) -> Planned:
    """Return the plan of a new bottle. Makes nothing."""
    directory = (request.cwd or context.cwd).absolute()
    if not directory.is_dir():
        raise UsageError(f"--cwd {str(directory)!r} is not a directory")
    _check_text("the name of the directory", str(directory.resolve()))
    _check_text("the prompt", request.prompt)
    for argument in request.arguments:
        _check_text("an argument after --", argument)
    resolved = resolve(context.paths, request.agent, directory)
    backend = _choose_backend(context, request.backend, resolved)
    spec = BottleSpec(
        identity=new_slug(request.agent),
        resolved=resolved,
        paths=context.paths,
        directory=directory.resolve(),
        workspace=request.workspace or _possible_workspace(backend, resolved.agent.workspace, directory),
        prompt=request.prompt,
        arguments=request.arguments,
        session_id=str(uuid.uuid4()),
        secrets=find_sources(resolved.bottle, context.environ),
        pipelock_binary=pipelock_binary(context),
        gitleaks_binary=gitleaks_binary(context) if resolved.bottle.git else BUILTIN,
    )
    _check_workspace(backend, spec)
    layout = request.layout or resolved.agent.layout or load_config(context.paths).layout
    find_window(layout, request.agent, context.paths, directory)
    return Planned(backend, backend.prepare(spec), layout)


def plan_resume(context: Context, record: Metadata, backend_name: str | None = None) -> Planned:
    """Return the plan that brings the recorded bottle back, from today's manifests."""
    directory = Path(record.cwd)
    if not directory.is_dir():
        raise UsageError(f"{record.identity}: its directory {record.cwd!r} is gone")
    if directory.resolve() != directory:
        # An agent that has the directory above can put a link in its place, to whatever the host has.
        raise UsageError(
            f"{record.identity}: its directory {record.cwd!r} is now a link to {str(directory.resolve())!r}",
            hint="put the directory back, or start the agent anew in the other one",
        )
    resolved = resolve(context.paths, record.agent, directory)
    _check_unchanged(record, resolved)
    backend = get_bottle_backend(backend_name or record.backend, paths=context.paths)
    files = context.paths.bottle(record.identity)
    spec = BottleSpec(
        identity=record.identity,
        resolved=resolved,
        paths=context.paths,
        directory=directory,
        workspace=record.workspace,
        prompt=_recorded_prompt(context, record.identity),
        arguments=record.args,
        resumed=_was_launched(context, record.identity),
        lost_home=_is_empty(files.home),
        session_id=record.session_id if conversations.is_session_id(record.session_id) else "",
        secrets=find_sources(resolved.bottle, context.environ),
        pipelock_binary=pipelock_binary(context),
        gitleaks_binary=gitleaks_binary(context) if resolved.bottle.git else BUILTIN,
    )
    _check_workspace(backend, spec)
    return Planned(backend, backend.prepare(spec), record.layout)


def missing_credentials(record: Metadata, planned: Planned) -> list[str]:
    """Return the names of credentials that the bottle had at its latest start and would not have now."""
    return [name for name in record.credentials if name not in planned.spec.secrets]


def without(record: Metadata, planned: Planned) -> str:
    """Return what to add, for a person, to the news that the bottle is back; empty where nothing is missing."""
    missing = missing_credentials(record, planned)
    return f", without {', '.join(missing)}: not set here" if missing else ""


def _check_text(what: str, text: str) -> None:
    """Raise for what cannot reach a program as it was given: NUL, or bytes that are no UTF-8."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise UsageError(f"{what} is not text", hint="give it in UTF-8, without NUL characters")


def with_identity(planned: Planned, identity: str) -> Planned:
    """Return the same plan for the identity that was claimed; as a rule it is the planned one."""
    if identity == planned.spec.identity:
        return planned
    spec = replace(planned.spec, identity=identity)
    return replace(planned, plan=planned.backend.prepare(spec))


def _choose_backend(context: Context, chosen: str | None, resolved: ResolvedAgent) -> BottleBackend[Any, Any]:
    name = chosen or context.environ.get("BOTTLEMUX_BACKEND") or resolved.bottle.backend
    name = name or load_config(context.paths).backend
    return get_bottle_backend(name, paths=context.paths)


def _possible_workspace(backend: BottleBackend[Any, Any], wanted: str, directory: Path) -> str:
    """Return what the agent's file says; where that cannot be, a clone, or a copy of what has no commit."""
    if wanted in backend.workspaces:
        return wanted
    from bottlemux.lifecycle.changes import base_commit

    return "clone" if base_commit(directory) else "copy"


def _check_workspace(backend: BottleBackend[Any, Any], spec: BottleSpec) -> None:
    if spec.workspace not in backend.workspaces:
        accepted = ", ".join(backend.workspaces)
        raise UsageError(
            f"workspace {spec.workspace!r} is not possible there: use {accepted}",
            hint=f"--workspace {backend.workspaces[0]}",
        )


def _check_unchanged(record: Metadata, resolved: ResolvedAgent) -> None:
    """A project's agent may have been rewritten by the very agent it describes."""
    agent = resolved.agent
    if agent.from_project != record.from_project or (
        agent.from_project and record.agent_digest != agent.digest
    ):
        raise UsageError(
            f"agent {agent.name!r} of {record.cwd} is not the one that {record.identity} was started with",
            hint=f"read {agent.source}, then start it anew: bottlemux start {agent.name}",
        )
    if agent.bottle != record.bottle:
        raise UsageError(
            f"agent {agent.name!r} now uses bottle {agent.bottle!r}; {record.identity} was started in "
            f"{record.bottle!r}",
            hint=f"start it anew: bottlemux start {agent.name}",
        )


def _was_launched(context: Context, identity: str) -> bool:
    """Say whether the bottle ever ran: routes and logs come last, when home and working copy are complete."""
    files = context.paths.bottle(identity)
    return files.routes.exists() or any(files.logs.glob("*.log"))


def _recorded_prompt(context: Context, identity: str) -> str:
    guest = context.paths.bottle(identity).guest
    for name in ("task.md", "prompt"):
        if (guest / name).is_file():
            return (guest / name).read_text("utf-8")
    return ""


def _is_empty(directory: Path) -> bool:
    try:
        with os.scandir(directory) as entries:
            return next(entries, None) is None
    except FileNotFoundError:
        return True
