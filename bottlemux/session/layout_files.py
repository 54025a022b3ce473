"""Finding, reading and writing layout files, with errors that name file, line and what is accepted."""

from __future__ import annotations

import functools
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from bottlemux.errors import NotFoundError, UsageError, unknown_name
from bottlemux.paths import PROJECT_DIR
from bottlemux.resources import layouts_dir
from bottlemux.session import yaml_source
from bottlemux.session.layout import Layout, PaneLayout, TreeLayout, WindowLayout

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from bottlemux.paths import Paths

MAX_FILE_BYTES = 64 * 1024
"""A layout of the working directory is untrusted: a larger file is refused before it is parsed."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MODELS_BY_KEY: dict[str, type[BaseModel]] = {
    "windows": WindowLayout,
    "panes": PaneLayout,
    "tree": TreeLayout,
    "columns": TreeLayout,
    "rows": TreeLayout,
}


@dataclass(frozen=True)
class LayoutFile:
    """A layout that can be chosen. ``origin`` is ``project``, ``user`` or ``shipped``."""

    name: str
    path: Path
    origin: str


def layout_directories(paths: Paths, project: Path) -> list[tuple[str, Path]]:
    """Return where layouts are looked for, first come, first served, each with its origin."""
    return [
        ("project", project / PROJECT_DIR / "layouts"),
        ("user", paths.layouts),
        ("shipped", layouts_dir()),
    ]


def list_layouts(paths: Paths, project: Path) -> list[LayoutFile]:
    """Return the layouts by name, without those that another of the same name hides; none of them is read."""
    found: dict[str, LayoutFile] = {}
    for origin, directory in layout_directories(paths, project):
        for path in sorted(directory.glob("*.yaml")):
            if _NAME.fullmatch(path.stem) and path.is_file():
                found.setdefault(path.stem, LayoutFile(path.stem, path, origin))
    return sorted(found.values(), key=lambda layout: layout.name)


def find_layout(name: str, paths: Paths, project: Path) -> LayoutFile:
    """Return the layout ``name``; :class:`NotFoundError` lists the ones there are."""
    known = {layout.name: layout for layout in list_layouts(paths, project)}
    if name not in known:
        raise unknown_name("layout", name, list(known))
    return known[name]


def load_layout(path: Path) -> Layout:
    """Read and check a layout file; :class:`UsageError` gives file, line and key of what is wrong."""
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
        details = error.errors(include_url=False)[0]
        location = details["loc"]
        where = f"{path}:{lines.line_of(location)}"
        raise UsageError(f"{where}: {_key(location)}{_reason(details)}") from error


def dump_layout(layout: Layout) -> str:
    """Return ``layout`` as the text of a file that :func:`load_layout` and tmuxp read."""
    stream = io.StringIO()
    document = layout.model_dump(mode="json", exclude_defaults=True)
    # tmuxp needs the names that we can do without.
    windows = [
        {"window_name": window.window_name, **content}
        for window, content in zip(layout.windows, document["windows"], strict=True)
    ]
    yaml_source.dump({"session_name": layout.session_name, "windows": windows}, stream)
    return stream.getvalue()


def check_name(name: str) -> str:
    """Return ``name`` if it can be that of a layout file; :class:`UsageError` otherwise."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a layout", hint="use letters, digits, '.', '_' and '-'"
        )
    return name


def _read(path: Path) -> str:
    if not path.is_file():
        raise NotFoundError(f"no layout file {str(path)!r}")
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_FILE_BYTES + 1)
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the layout {str(path)!r}: {error}") from error
    if len(raw) > MAX_FILE_BYTES:
        raise UsageError(f"the layout {str(path)!r} is larger than {MAX_FILE_BYTES} bytes")
    return text


def _key(location: Sequence[int | str]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return f"{text}: " if text else ""


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


def _model_at(location: Sequence[int | str]) -> type[BaseModel]:
    keys = [part for part in location if isinstance(part, str)]
    return _MODELS_BY_KEY[keys[-1]] if keys else Layout
