"""YAML with line numbers: the one place that touches ruamel.yaml's untyped objects."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bottlemux.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO


MAX_DEPTH = 80
_WIDTH = 1 << 20


@dataclass(frozen=True)
class Lines:
    """Where the keys of a parsed document stand."""

    root: Any

    def line_of(self, location: Sequence[int | str]) -> int:
        """Return the line, from 1, of the key or item at ``location``, or of the last part of it there is."""
        node, line = self.root, 1
        for part in location:
            position = getattr(getattr(node, "lc", None), "data", None)
            if not position or part not in position:
                break
            line = int(position[part][0]) + 1
            node = node[part]
        return line


def parse(text: str, source: str) -> tuple[object, Lines]:
    """Return the document in ``text`` and its lines; :class:`UsageError` names ``source`` and the line.

    Aliases and deep nesting are refused: with them, a small file makes an enormous document or hours of work.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

    yaml = YAML(typ="rt")
    try:
        depth = 0
        for event in yaml.parse(text):
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if isinstance(event, AliasEvent) or depth > MAX_DEPTH:
                what = "aliases" if isinstance(event, AliasEvent) else f"more than {MAX_DEPTH} levels"
                raise UsageError(f"{source}:{event.start_mark.line + 1}: {what} are not allowed")
        root = yaml.load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise UsageError(f"{source}:{line}: {error.problem or error.context}") from error
    except (YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{source}: not readable as YAML ({type(error).__name__})") from error
    return root, Lines(root)


def dump(value: object, stream: TextIO) -> None:
    """Write plain ``value`` as block style YAML that reads as the same value, whatever is in its texts."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.default_flow_style = False
    yaml.width = _WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(_quoted(value), stream)


def _quoted(value: object) -> Any:
    """Return ``value`` with the texts quoted whose control characters another style would lose."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, str):
        return value if value.isprintable() else DoubleQuotedScalarString(value)
    if isinstance(value, dict):
        return {key: _quoted(item) for key, item in value.items()}
    return [_quoted(item) for item in value] if isinstance(value, list) else value
