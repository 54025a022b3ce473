"""Finding, reading and writing layout files, with errors that name file, line and what is accepted."""

from __future__ import annotations

import functools
import io
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from bottlemux.errors import NotFoundError, UsageError, unknown_name
from bottlemux.identity import NAME_RULE, is_name
from bottlemux.manifest.loader import names_in_project
from bottlemux.manifest.problems import dotted, suggestion
from bottlemux.manifest.source import list_user_files, read_project_file
from bottlemux.paths import LAYOUT_SCHEMA, PROJECT_DIR
from bottlemux.resources import layouts_dir
from bottlemux.session import yaml_source
from bottlemux.session.layout import Layout, PaneLayout, TreeLayout, WindowLayout
from bottlemux.session.layout_trust import check_commands

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from bottlemux.manifest.loader import LayoutOrigin
    from bottlemux.paths import Paths

MAX_FILE_BYTES = 64 * 1024
"""A layout of the working directory is untrusted: a larger file is refused before it is parsed."""

SCHEMA_HINT = "bottlemux layout schema prints what a layout file may hold"

_SUFFIX = ".yaml"
_MODELINE = f"# yaml-language-server: $schema={LAYOUT_SCHEMA}\n"
_REFERENCE = re.compile(r"(?P<name>[^:]*)(?::(?P<number>[1-9]\d?))?")
_MODELS_BY_KEY: dict[str, type[BaseModel]] = {
    "windows": WindowLayout,
    "panes": PaneLayout,
    "tree": TreeLayout,
    "columns": TreeLayout,
    "rows": TreeLayout,
}


@dataclass(frozen=True)
class LayoutFile:
    """A layout by its name. A project's is not trusted; ``agreements`` is where the operator's yeses to such are.

    ``hides`` are the layouts of the same name that cannot be chosen because of this one.
    """

    name: str
    path: Path
    origin: LayoutOrigin
    agreements: Path
    hides: tuple[LayoutFile, ...] = ()

    def text(self) -> str:
        """Return what is in the file; links in a project are not followed."""
        if self.origin != "project":
            return _read(self.path)
        content = read_project_file(self.path.parents[2], "layouts", self.path.name)
        if content is None:
            raise NotFoundError(f"no layout file {str(self.path)!r}")
        return _decoded(content, self.path)

    def load(self) -> Layout:
        """Read and check the file; :class:`UsageError` gives file, line and key of what is wrong.

        :class:`OwnCommandsError` says that the operator has to agree first. There is no other way to a project's
        layout than this one.
        """
        text = self.text()
        layout = _checked(text, str(self.path))
        if self.origin == "project":
            check_commands(layout, text, self.path, self.agreements)
        return layout

    def check_reach(self, directory: Path) -> None:
        """Raise :class:`UsageError` if the file is a project's and ``directory`` is not that project."""
        if self.origin == "project" and directory.resolve() != self.path.parents[2].resolve():
            raise UsageError(
                f"{self.path}: a project's layout is for that directory alone, not for {str(directory)!r}",
                hint="copy the file to your own layouts, once you have read it",
            )

    @property
    def news(self) -> str:
        """What to tell whoever has just saved this one under a name that a shipped one has; empty where none has."""
        if not any(file.origin == "shipped" for file in self.hides):
            return ""
        return f"layout {self.name!r} is yours from now on; back to the shipped one: bottlemux layout rm {self.name}"

    @property
    def notice(self) -> str:
        """What to tell whoever uses this one where the project has one of the same name; empty where it has none."""
        passed_over = [file.path for file in self.hides if file.origin == "project"]
        if not passed_over:
            return ""
        whose = "yours" if self.origin == "user" else "the shipped one"
        return f"layout {self.name!r} is {whose}; the project's is hidden by it until it is renamed: {passed_over[0]}"


def list_layouts(paths: Paths, project: Path) -> list[LayoutFile]:
    """Return the layouts by name; none of them is read.

    The user's come first, then the shipped ones: a project cannot change what a name means that the operator knows.
    """
    places: list[tuple[LayoutOrigin, Path, list[str]]] = [
        ("user", paths.layouts, list_user_files(paths.layouts)),
        ("shipped", layouts_dir(), list_user_files(layouts_dir())),
        ("project", project / PROJECT_DIR / "layouts", names_in_project(paths, project, "layouts")),
    ]
    found: dict[str, list[LayoutFile]] = {}
    for origin, directory, names in places:
        for name in names:
            stem = name.removesuffix(_SUFFIX)
            if stem != name and is_name(stem):
                file = LayoutFile(stem, directory / name, origin, paths.agreements)
                found.setdefault(stem, []).append(file)
    return [replace(first, hides=tuple(others)) for _, (first, *others) in sorted(found.items())]


def find_layout(name: str, paths: Paths, project: Path) -> LayoutFile:
    """Return the layout ``name``; :class:`NotFoundError` lists the ones there are."""
    known = {layout.name: layout for layout in list_layouts(paths, project)}
    if name not in known:
        raise unknown_name("layout", name, list(known), hint="bottlemux list layouts")
    return known[name]


def find_window(reference: str, agent: str, paths: Paths, project: Path) -> WindowLayout:
    """Return the window of ``agent`` in the layout ``NAME``, or window ``NUMBER`` of ``NAME:NUMBER``, from 1."""
    name, number = split_reference(reference)
    return find_layout(name, paths, project).load().window_for(agent, number)


def split_reference(reference: str) -> tuple[str, int | None]:
    """Return the name, and the number of the window if there is one, in ``NAME`` or ``NAME:NUMBER``."""
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        return reference, None
    return found["name"], int(found["number"]) if found["number"] else None


def load_layout(path: Path) -> Layout:
    """Read and check a trusted layout file; :class:`UsageError` gives file, line and key of what is wrong."""
    return _checked(_read(path), str(path))


def load_shipped() -> None:
    """Read the shipped layouts, so that a fork of this process has them at once."""
    for path in layouts_dir().glob("*.yaml"):
        load_layout(path)


@functools.cache
def _checked(text: str, path: str) -> Layout:
    """Reading YAML takes longer than all the rest of opening a window: a process does it once for a text."""
    root, lines = yaml_source.parse(text, path)
    try:
        return Layout.model_validate(root)
    except ValidationError as error:
        details = _first(error.errors(include_url=False))
        location = details["loc"]
        where = f"{path}:{lines.line_of(location)}"
        key = f"{dotted(location)}: " if location else ""
        raise UsageError(f"{where}: {key}{_reason(details)}", hint=_hint(details)) from error


def dump_layout(layout: Layout) -> str:
    """Return ``layout`` as the text of a file that :func:`load_layout` and tmuxp read.

    Its first line tells editors where the schema is: beside it.
    """
    stream = io.StringIO(_MODELINE)
    stream.seek(0, io.SEEK_END)
    document = layout.model_dump(mode="json", exclude_defaults=True)
    # tmuxp needs the names that we can do without.
    windows = [
        {"window_name": window.window_name, **content}
        for window, content in zip(layout.windows, document["windows"], strict=True)
    ]
    yaml_source.dump({"session_name": layout.session_name, "windows": windows}, stream)
    return stream.getvalue()


def json_schema() -> str:
    """Return the JSON schema of a layout file, for editors."""
    schema = Layout.model_json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "bottlemux layout"
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def check_name(name: str) -> str:
    """Return ``name`` if it can be that of a layout file; :class:`UsageError` otherwise."""
    if not is_name(name):
        raise UsageError(f"{name!r} cannot be the name of a layout", hint=f"a name is {NAME_RULE}")
    return name


def _read(path: Path) -> str:
    if not path.is_file():
        raise NotFoundError(f"no layout file {str(path)!r}")
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read the layout {str(path)!r}: {error.strerror}") from error
    return _decoded(content, path)


def _decoded(content: bytes, path: Path) -> str:
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(f"the layout {str(path)!r} is larger than {MAX_FILE_BYTES} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read the layout {str(path)!r}: {error}") from error


def _first(problems: list[ErrorDetails]) -> ErrorDetails:
    """Return the problem to tell: a key that is not known is as a rule the one that is missing, misspelt."""
    if problems[0]["type"] == "missing":
        return next((item for item in problems if item["type"] == "extra_forbidden"), problems[0])
    return problems[0]


def _reason(details: ErrorDetails) -> str:
    kind, value = details["type"], details["input"]
    if kind == "extra_forbidden":
        return f"unknown key (known: {', '.join(_model_at(details['loc'][:-1]).model_fields)})"
    if kind == "literal_error":
        return f"{value!r} is not one of {details['ctx']['expected']}" if "ctx" in details else details["msg"]
    if kind == "missing":
        return "is missing"
    reason = details["msg"].removeprefix("Value error, ")
    return reason if isinstance(value, dict | list | tuple | BaseModel) else f"{reason}, got {value!r}"


def _hint(details: ErrorDetails) -> str:
    location = details["loc"]
    known: list[str] = []
    if details["type"] == "extra_forbidden":
        known = list(_model_at(location[:-1]).model_fields)
    elif details["type"] == "literal_error":
        known = re.findall("'([^']*)'", str(details.get("ctx", {}).get("expected", "")))
    wrong = location[-1] if details["type"] == "extra_forbidden" else details["input"]
    return next(iter(suggestion(str(wrong), known)), SCHEMA_HINT) if known else SCHEMA_HINT


def _model_at(location: Sequence[int | str]) -> type[BaseModel]:
    keys = [part for part in location if isinstance(part, str)]
    return _MODELS_BY_KEY.get(keys[-1], Layout) if keys else Layout
