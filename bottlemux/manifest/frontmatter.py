"""Splitting Markdown with YAML front matter into values, their lines, and the body."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from bottlemux.manifest.problems import Problem, failure
from bottlemux.manifest.yaml_tree import YamlError, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from bottlemux.manifest.problems import KeyPath

MAX_FRONT_MATTER_BYTES = 64 * 1024

_FENCE = "---"
_BOM = b"\xef\xbb\xbf"
_START_HINT = "a manifest begins with a line ---, then YAML, then another line ---, then Markdown"


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest file: its front matter as plain values, its body, and the SHA-256 of its bytes."""

    source: Path
    values: dict[str, object]
    lines: dict[KeyPath, int]
    body: str
    digest: str

    def line_of(self, key: KeyPath) -> int:
        """Return the line, from 1, of ``key`` or of the nearest thing around it that has one."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.lines:
                return self.lines[key[:length]]
        return 1

    def fail(self, key: KeyPath, message: str, *extra: str, hint: str = "") -> NoReturn:
        """Raise the error that says ``message`` about ``key``."""
        raise failure([Problem(self.source, self.line_of(key), key, message, extra)], hint=hint)


def parse_document(content: bytes, source: Path) -> Document:
    """Parse the ``content`` of the file ``source``; raises :class:`ManifestError`, whatever the bytes are."""
    text = decode(content, source)
    front, body = _split(text, source)
    try:
        tree = read_yaml(front)
    except YamlError as error:
        raise failure([Problem(source, error.line + 2, error.key, error.message)]) from None
    lines = {key: line + 2 for key, line in tree.lines.items()}
    return Document(source, tree.values, lines, body.strip(), hashlib.sha256(content).hexdigest())


def decode(content: bytes, source: Path) -> str:
    """Return ``content`` as text with plain line ends; what is no text is a :class:`ManifestError`."""
    raw = content.removeprefix(_BOM)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise failure([Problem(source, line, (), f"not UTF-8: byte 0x{raw[error.start]:02x}")]) from None
    if "\0" in text:
        raise failure([Problem(source, text.count("\n", 0, text.index("\0")) + 1, (), "holds a null byte")])
    return text.replace("\r\n", "\n")


def _split(text: str, source: Path) -> tuple[str, str]:
    lines = text.split("\n")
    if lines[0].rstrip() != _FENCE:
        raise failure([Problem(source, 1, (), "has no front matter")], hint=_START_HINT)
    for index, line in enumerate(lines[1:], start=1):
        if line.rstrip() == _FENCE:
            front = "\n".join(lines[1:index]) + "\n"
            _check_size(front, source)
            return front, "\n".join(lines[index + 1 :])
    message = "the front matter that begins here has no closing ---"
    raise failure([Problem(source, 1, (), message)], hint=_START_HINT)


def _check_size(front: str, source: Path) -> None:
    if len(front.encode()) > MAX_FRONT_MATTER_BYTES:
        message = f"the front matter is larger than {MAX_FRONT_MATTER_BYTES // 1024} KiB"
        raise failure([Problem(source, 1, (), message)])
