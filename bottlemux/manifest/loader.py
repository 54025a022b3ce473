"""Finding manifests by name, and joining an agent with its bottle and skills.

For agents the working directory comes first, then the user's files, then the built-in examples; for bottles
the working directory has no say. Listing names reads no file and imports nothing heavy.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bottlemux.errors import UsageError, unknown_name
from bottlemux.identity import NAME_RULE, is_name
from bottlemux.manifest.problems import accepted, shown, suggestion
from bottlemux.manifest.source import (
    list_project_files,
    list_user_files,
    read_project_file,
    read_user_file,
)
from bottlemux.paths import PROJECT_DIR
from bottlemux.resources import layouts_dir

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bottlemux.manifest.frontmatter import Document
    from bottlemux.manifest.models import Agent, Bottle
    from bottlemux.manifest.problems import KeyPath
    from bottlemux.paths import Paths

type LayoutOrigin = Literal["user", "shipped", "project"]

_EXAMPLES = Path(__file__).parent.parent / "_examples"
_SUFFIX = ".md"
_LAYOUT_SUFFIX = ".yaml"


@dataclass(frozen=True, slots=True)
class Skill:
    """A directory with a ``SKILL.md``, the user's own."""

    name: str
    directory: Path


@dataclass(frozen=True, slots=True)
class ResolvedAgent:
    """An agent with everything it refers to."""

    agent: Agent
    bottle: Bottle
    skills: tuple[Skill, ...]


def list_agents(paths: Paths, cwd: Path) -> list[str]:
    """Return the names of all agents that can be started from ``cwd``, sorted. No file is read."""
    project = names_in_project(paths, cwd, "agents")
    files = [*project, *list_user_files(paths.agents_config), *list_user_files(_EXAMPLES / "agents")]
    return _names(files, _SUFFIX)


def is_built_in(agent: str) -> bool:
    """Tell whether there is a built-in agent of this name; one of the user's hides it."""
    return (_EXAMPLES / "agents" / f"{agent}{_SUFFIX}").exists()


def is_in_project(paths: Paths, agent: str, cwd: Path) -> bool:
    """Tell whether the project ``cwd`` has an agent of this name; it hides the user's there."""
    return f"{agent}{_SUFFIX}" in names_in_project(paths, cwd, "agents")


def list_bottles(paths: Paths) -> list[str]:
    """Return the names of all bottle manifests, sorted. No file is read."""
    return _names([*list_user_files(paths.bottles_config), *list_user_files(_EXAMPLES / "bottles")], _SUFFIX)


def list_skills(paths: Paths) -> list[str]:
    """Return the names of the user's skills, sorted."""
    return sorted(
        name for name in list_user_files(paths.skills) if (paths.skills / name / "SKILL.md").is_file()
    )


def list_layouts(paths: Paths, cwd: Path) -> list[str]:
    """Return the names of all layouts that can be used from ``cwd``, sorted. No file is read."""
    return list(layout_origins(paths, cwd))


def layout_origins(paths: Paths, cwd: Path) -> dict[str, LayoutOrigin]:
    """Return whose each layout is that can be used from ``cwd``, by their names, sorted. No file is read."""
    project = names_in_project(paths, cwd, "layouts")
    found: dict[str, LayoutOrigin] = dict.fromkeys(_names(project, _LAYOUT_SUFFIX), "project")
    found |= dict.fromkeys(_names(list_user_files(layouts_dir()), _LAYOUT_SUFFIX), "shipped")
    found |= dict.fromkeys(_names(list_user_files(paths.layouts), _LAYOUT_SUFFIX), "user")
    return dict(sorted(found.items()))


def names_in_project(paths: Paths, cwd: Path, folder: str) -> list[str]:
    """Return the file names in ``FOLDER`` of the project ``cwd``; none where it is the user's own configuration."""
    return list_project_files(cwd, folder) if _has_project(paths, cwd) else []


def load_bottle(paths: Paths, name: str) -> Bottle:
    """Return the user's bottle ``name``, or the built-in one.

    An unknown name is a NotFoundError that lists the known; anything wrong in the file a ManifestError.
    """
    from bottlemux.manifest.explain import validate
    from bottlemux.manifest.models import Bottle

    found = _find(name, paths.bottles_config, _EXAMPLES / "bottles")
    if found is None:
        raise unknown_name(
            "bottle",
            name,
            list_bottles(paths),
            hint=_hint(name, f"write {paths.bottles_config / name}{_SUFFIX}"),
        )
    document = _parse(found)
    given = {"name": name, "description": document.body, "source": document.source}
    return validate(Bottle, document, given)


def load_examples() -> None:
    """Read the built-in manifests, so that a fork of this process has compiled what reading any needs."""
    from bottlemux.paths import Paths

    paths = Paths(_EXAMPLES, _EXAMPLES, _EXAMPLES)
    for name in list_agents(paths, _EXAMPLES):
        resolve(paths, name, _EXAMPLES)


def load_agent(paths: Paths, name: str, cwd: Path) -> Agent:
    """Return the agent ``name`` as seen from ``cwd``: the project's, else the user's, else the built-in one.

    An unknown name is a NotFoundError that lists the known; anything wrong in the file, a reference to what
    does not exist included, is a ManifestError. A project that brings bottles of its own is refused
    altogether.
    """
    from bottlemux.manifest.explain import validate
    from bottlemux.manifest.models import Agent

    found = _find_in_project(paths, name, cwd)
    from_project = found is not None
    found = found or _find(name, paths.agents_config, _EXAMPLES / "agents")
    if found is None:
        raise unknown_name("agent", name, list_agents(paths, cwd), hint=_hint(name, f"bottlemux init {name}"))
    document = _parse(found)
    given = {
        "name": name, "instructions": document.body, "source": document.source,
        "from_project": from_project, "digest": document.digest,
    }  # fmt: skip
    agent = validate(Agent, document, given)
    _check_references(paths, cwd, document, agent)
    return agent


def resolve(paths: Paths, agent_name: str, cwd: Path) -> ResolvedAgent:
    """Return the agent with its bottle and skills; raises what the two loading functions do."""
    agent = load_agent(paths, agent_name, cwd)
    skills = tuple(Skill(name, paths.skills / name) for name in agent.skills)
    return ResolvedAgent(agent, load_bottle(paths, agent.bottle), skills)


def _names(files: Iterable[str], suffix: str) -> list[str]:
    stems = {name.removesuffix(suffix) for name in files if name.endswith(suffix)}
    return sorted(stem for stem in stems if is_name(stem))


def _hint(name: str, step: str) -> str:
    return step if is_name(name) else f"a name is {NAME_RULE}"


def _has_project(paths: Paths, cwd: Path) -> bool:
    # The user's own configuration is no project, even when it is looked at from its parent directory.
    project = cwd / PROJECT_DIR
    return os.path.lexists(project) and project.resolve() != paths.config.resolve()


def _find(name: str, *directories: Path) -> tuple[Path, bytes] | None:
    if not is_name(name):
        return None
    for directory in directories:
        path = directory / f"{name}{_SUFFIX}"
        if (content := read_user_file(path)) is not None:
            return path, content
    return None


def _find_in_project(paths: Paths, name: str, cwd: Path) -> tuple[Path, bytes] | None:
    if not is_name(name) or not _has_project(paths, cwd):
        return None
    if os.path.lexists(cwd / PROJECT_DIR / "bottles"):
        raise UsageError(
            f"{cwd / PROJECT_DIR / 'bottles'}: a project may not define bottles",
            hint=f"remove it, or move what you trust to {paths.bottles_config}",
        )
    file_name = f"{name}{_SUFFIX}"
    content = read_project_file(cwd, "agents", file_name)
    return None if content is None else (cwd / PROJECT_DIR / "agents" / file_name, content)


def _parse(found: tuple[Path, bytes]) -> Document:
    from bottlemux.manifest.frontmatter import parse_document
    from bottlemux.manifest.legacy import refuse_legacy_keys

    source, content = found
    document = parse_document(content, source)
    refuse_legacy_keys(document)
    return document


def _check_references(paths: Paths, cwd: Path, document: Document, agent: Agent) -> None:
    references: list[tuple[KeyPath, str, list[str]]] = [(("bottle",), agent.bottle, list_bottles(paths))]
    if agent.layout is not None:
        references += [(("layout",), agent.layout, list_layouts(paths, cwd))]
    skills = list_skills(paths) if agent.skills else []
    references += [(("skills", index), name, skills) for index, name in enumerate(agent.skills)]
    for key, name, known in references:
        if name not in known:
            kind = str(key[0]).removesuffix("s")
            extra = (f"value {shown(name)}", accepted(known), *suggestion(name, known))
            document.fail(key, f"there is no such {kind}", *extra)
