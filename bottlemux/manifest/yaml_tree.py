"""The one place that knows ruamel.yaml: YAML text to plain values, with the line of each.

Only what a manifest needs is read: mappings with text keys, lists, text, numbers, true and false. Anchors,
aliases, merge keys and tags are refused, so a small file cannot become a large value. It works on the node
tree, because that has the position of every key and is the cheapest of the library's outputs.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bottlemux.manifest.problems import KeyPath

MAX_DEPTH = 12

_MAX_INTEGER_LENGTH = 32
_TAG = "tag:yaml.org,2002:"
_INTEGER_BASES = {"0x": 16, "0o": 8, "0b": 2}


class YamlError(Exception):
    """The text is not the YAML that is accepted. ``line`` counts from 0 within the text."""

    def __init__(self, line: int, message: str, key: KeyPath = ()) -> None:
        super().__init__(message)
        self.line = line
        self.message = message
        self.key = key


@dataclass(slots=True)
class YamlTree:
    """The mapping that was read, and the line (from 0) of every key path in it."""

    values: dict[str, object] = field(default_factory=dict[str, object])
    lines: dict[KeyPath, int] = field(default_factory=dict["KeyPath", int])


def read_yaml(text: str) -> YamlTree:
    """Parse ``text``, which must hold one mapping or nothing; raises :class:`YamlError`."""
    root = _compose(text)
    tree = YamlTree()
    if root is None:
        return tree
    if _kind(root) != "map":
        raise YamlError(root.start_mark.line, "must be a mapping of keys to values")
    tree.values = _mapping(root, (), tree.lines)
    return tree


def _compose(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    try:
        return YAML(typ="safe", pure=True).compose(text)  # pyright: ignore[reportUnknownMemberType]
    except ReaderError as error:
        raise _unreadable(text, error) from None
    except MarkedYAMLError as error:
        raise _malformed(text, error) from None
    except (YAMLError, RecursionError, ValueError, AssertionError) as error:
        message = "nested too deeply" if isinstance(error, RecursionError) else "not valid YAML"
        raise YamlError(0, message) from None


def _unreadable(text: str, error: Any) -> YamlError:
    line = text.count("\n", 0, error.position)
    return YamlError(line, f"control character U+{error.character:04X} is not accepted")


def _malformed(text: str, error: Any) -> YamlError:
    mark = error.problem_mark or error.context_mark
    line: int = mark.line if mark else 0
    source = text.split("\n")[line] if line <= text.count("\n") else ""
    if source[: len(source) - len(source.lstrip())].count("\t"):
        return YamlError(line, "is indented with a tab; YAML takes spaces")
    return YamlError(line, f"not valid YAML: {error.problem}")


def _kind(node: Any) -> str:
    return str(node.tag).removeprefix(_TAG)


def _value(node: Any, key: KeyPath, lines: dict[KeyPath, int]) -> object:
    # An empty value is found where the next thing begins; its key tells the line.
    line = lines[key] if _kind(node) == "null" else node.start_mark.line
    if node.anchor:
        raise YamlError(line, "anchors and aliases (&, *) are not accepted; write the value out", key)
    if len(key) > MAX_DEPTH:
        raise YamlError(line, "nested too deeply", key)
    match _kind(node):
        case "map":
            return _mapping(node, key, lines)
        case "seq":
            return _sequence(node, key, lines)
        case kind:
            return _scalar(kind, str(node.value), line, key)


def _mapping(node: Any, key: KeyPath, lines: dict[KeyPath, int]) -> dict[str, object]:
    if node.anchor:
        raise YamlError(node.start_mark.line, "anchors and aliases (&, *) are not accepted", key)
    values: dict[str, object] = {}
    for name_node, value_node in node.value:
        name = _name(name_node, key)
        path = (*key, name)
        if name in values:
            raise YamlError(name_node.start_mark.line, "is given twice", path)
        lines[path] = name_node.start_mark.line
        values[name] = _value(value_node, path, lines)
    return values


def _name(node: Any, parent: KeyPath) -> str:
    line = node.start_mark.line
    if _kind(node) == "merge":
        raise YamlError(line, "merge keys (<<) are not accepted; write the values out", parent)
    if _kind(node) != "str" or node.anchor or not node.value:
        raise YamlError(line, "a key must be plain text", parent)
    return _text(str(node.value), line, parent)


def _sequence(node: Any, key: KeyPath, lines: dict[KeyPath, int]) -> list[object]:
    items: list[object] = []
    for index, item in enumerate(node.value):
        path = (*key, index)
        lines[path] = item.start_mark.line
        items.append(_value(item, path, lines))
    return items


def _scalar(kind: str, text: str, line: int, key: KeyPath) -> object:
    match kind:
        case "str" | "timestamp":
            return _text(text, line, key)
        case "null":
            raise YamlError(line, "has no value; give one or remove the key", key)
        case "bool":
            return text.lower() in {"true", "yes", "on", "y"}
        case "int" | "float":
            return _number(kind, text, line, key)
        case _:
            raise YamlError(line, f"tags are not accepted: {kind[:40]!r}", key)


def _text(text: str, line: int, key: KeyPath) -> str:
    # An escape such as "\\ud800" makes text that cannot be written anywhere.
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise YamlError(line, "holds half of a surrogate pair", key)
    return text


def _number(kind: str, text: str, line: int, key: KeyPath) -> int | float:
    plain = text.replace("_", "").lower()
    with suppress(ValueError):
        if kind == "float":
            return float(plain)
        if len(plain) <= _MAX_INTEGER_LENGTH:
            return int(plain, _INTEGER_BASES.get(plain.lstrip("+-")[:2], 10))
    raise YamlError(line, f"is not a number that is accepted: {text[:40]!r}", key)
