"""Reading ``config.toml``."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, cast

from bottlemux.manifest.frontmatter import Document, decode
from bottlemux.manifest.problems import Problem, failure
from bottlemux.manifest.source import read_user_file

if TYPE_CHECKING:
    from pathlib import Path

    from bottlemux.manifest.models import Config
    from bottlemux.manifest.problems import KeyPath
    from bottlemux.paths import Paths

_POSITION = re.compile(r" \(at (?:line (?P<line>[0-9]+), column [0-9]+|end of document)\)\Z")
_TABLE = re.compile(r"\s*\[\s*([\w.-]+)\s*\]")
_KEY = re.compile(r"\s*([\w.-]+)\s*=")


def load_config(paths: Paths) -> Config:
    """Return the user's settings, the defaults if there is no file; raises :class:`ManifestError`."""
    from bottlemux.manifest.explain import validate
    from bottlemux.manifest.models import Config

    source = paths.config_file
    content = read_user_file(source)
    if content is None:
        return Config()
    text = decode(content, source)
    return validate(Config, Document(source, _parse(text, source), _key_lines(text), "", ""), {})


def _parse(text: str, source: Path) -> dict[str, object]:
    try:
        return cast("dict[str, object]", tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = _POSITION.search(str(error))
        line = int(found["line"]) if found and found["line"] else text.count("\n") + 1
        message = _POSITION.sub("", str(error))
        raise failure([Problem(source, line, (), f"not valid TOML: {message}")]) from None


def _key_lines(text: str) -> dict[KeyPath, int]:
    """Find where keys are written, in the usual layout of a file: the TOML parser keeps no positions."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _TABLE.match(line):
            table = tuple(header[1].split("."))
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *key[1].split(".")), number)
    return lines
