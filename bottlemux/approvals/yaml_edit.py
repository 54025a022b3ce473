"""Adding to lists in YAML text without touching anything else of it: comments, order and style stay as they are."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bottlemux.manifest.problems import KeyPath

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9._/-]*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


class EditError(ValueError):
    """The place is written in a way that cannot be added to."""


def append(text: str, key: KeyPath, item: object, newline: str = "\n") -> str:
    """Return ``text``, which holds one mapping, with ``item`` added to the list at ``key``.

    What of ``key`` is missing is made; only its last two parts may be. Raises :class:`EditError`.
    """
    root = _compose(text)
    if root is None:
        return _append_section(text, key, item, newline)
    node, missing = _descend(root, key)
    if not missing:
        return _append_to_list(text, node, item, newline)
    if node is root:
        return _append_section(text, missing, item, newline)
    return _insert_into_mapping(text, node, missing, item, newline)


def _compose(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).compose(text)  # pyright: ignore[reportUnknownMemberType]
    except YAMLError as error:
        raise EditError("not valid YAML") from error


def _descend(node: Any, key: KeyPath) -> tuple[Any, KeyPath]:
    """Return the node at ``key``, or the last one on the way to it and what is missing below."""
    for depth, part in enumerate(key):
        if isinstance(part, int):
            node = node.value[part]
            continue
        found = [value for name, value in node.value if name.value == part]
        if not found:
            return node, key[depth:]
        node = found[0]
    return node, ()


def _append_to_list(text: str, node: Any, item: object, newline: str) -> str:
    if node.id != "sequence":
        raise EditError("not a list")
    if not node.value:
        at = node.start_mark.index + 1
        return text[:at] + inline(item) + text[at:]
    if node.flow_style:
        at = _end(node.value[-1]).index
        return f"{text[:at]}, {inline(item)}{text[at:]}"
    indent = " " * node.start_mark.column
    at = _line_end(text, _end(node.value[-1]).index)
    return text[:at] + newline + newline.join(_block_item(item, indent)) + text[at:]


def _end(node: Any) -> Any:
    """Return where the last character of ``node`` is; a block's own mark lies after the comments that follow."""
    while node.id != "scalar" and not node.flow_style:
        node = node.value[-1] if node.id == "sequence" else node.value[-1][1]
    return node.end_mark


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    end = len(text) if end < 0 else end
    return end - 1 if text[end - 1 : end] == "\r" else end


def _insert_into_mapping(text: str, node: Any, missing: KeyPath, item: object, newline: str) -> str:
    name = _only_name(missing)
    if node.flow_style:
        at = node.start_mark.index + 1
        rest = ", " if node.value else ""
        return f"{text[:at]}{name}: [{inline(item)}]{rest}{text[at:]}"
    indent = " " * node.start_mark.column
    at = _line_end(text, _end(node).index)
    return f"{text[:at]}{newline}{indent}{name}: [{inline(item)}]{text[at:]}"


def _only_name(missing: KeyPath) -> str:
    if len(missing) != 1:
        raise EditError("too much of it is missing")
    return str(missing[0])


def _append_section(text: str, key: KeyPath, item: object, newline: str) -> str:
    lines = [f"{'  ' * depth}{part}:" for depth, part in enumerate(key)]
    lines += _block_item(item, "  " * len(key))
    head = text if not text or text.endswith("\n") else text + newline
    return head + newline.join(lines) + newline


def _block_item(item: object, indent: str) -> list[str]:
    if not isinstance(item, dict):
        return [f"{indent}- {inline(item)}"]
    pairs = cast("Mapping[str, object]", item).items()
    lines = [f"{indent}  {name}: {inline(value)}" for name, value in pairs]
    lines[0] = f"{indent}- {lines[0].lstrip()}"
    return lines


def inline(value: object) -> str:
    """Return ``value`` as YAML on one line; text is quoted unless it is plainly text."""
    if isinstance(value, dict):
        pairs = cast("Mapping[str, object]", value).items()
        return "{" + ", ".join(f"{name}: {inline(item)}" for name, item in pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(inline(item) for item in cast("Sequence[object]", value)) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value)
