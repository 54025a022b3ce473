"""Request paths in one normal form. What two servers could read differently is refused."""

from __future__ import annotations

import re
import unicodedata

_ESCAPE = re.compile(r"%(..?)?")
_DOUBLE = re.compile(r"%25[0-9A-Fa-f]{2}")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~")
_FORBIDDEN = {0x2E: "an encoded dot", 0x5C: "an encoded backslash", 0x2F: "an encoded slash"}
_HEX = frozenset("0123456789abcdefABCDEF")
_PLAIN = re.compile(r"/[A-Za-z0-9\-_~/]*")
# npm asks for a scoped package as /@scope%2fname: one encoded slash, right after the scope.
_SCOPED = re.compile(r"/@[A-Za-z0-9\-_~.]+%2[fF](?=[A-Za-z0-9\-_~])")


class PathError(ValueError):
    """The path has no single meaning; the text says why and repeats nothing of it."""


def normalise(path: str) -> str:
    """Return the normal form of a request path without its query. Raises :class:`PathError`.

    Unreserved characters are decoded, other escapes upper-cased, dot segments resolved, repeated slashes merged.
    Idempotent. The normal form is what is judged and what is sent.
    """
    if _PLAIN.fullmatch(path) and "//" not in path:
        return path
    if not path.startswith("/"):
        raise PathError("a path that does not start with a slash")
    if any(not "!" <= char <= "~" for char in path) or any(char in path for char in '\\#?"<>`{}|^'):
        raise PathError("a character that is not allowed in a path")
    scoped = _SCOPED.match(path)
    if scoped:
        return f"{scoped.group()[:-3]}%2F{_normalise_scoped(path[scoped.end() :])}"
    return _normalise_plain(path)


def _normalise_scoped(rest: str) -> str:
    normal = _normalise_plain(f"/{rest}")
    if normal == "/":
        raise PathError("an encoded slash")
    return normal[1:]


def _normalise_plain(path: str) -> str:
    decoded = _ESCAPE.sub(_decode_escape, path)
    if _DOUBLE.search(decoded):
        raise PathError("a double encoding")
    _check_encoding(path)
    return _resolve(decoded)


def _decode_escape(match: re.Match[str]) -> str:
    digits = match.group(1) or ""
    if len(digits) != 2 or not _HEX.issuperset(digits):
        raise PathError("a broken escape")
    code = int(digits, 16)
    if code in _FORBIDDEN:
        raise PathError(_FORBIDDEN[code])
    if code < 0x20 or code == 0x7F:
        raise PathError("an encoded control character")
    char = chr(code)
    return char if char in _UNRESERVED else f"%{code:02X}"


def _check_encoding(path: str) -> None:
    """Refuse over-long UTF-8 and characters that some servers fold into a dot or a slash."""
    raw = decode(path)
    if raw.isascii():
        return
    try:
        text = raw.encode("latin-1").decode()
    except UnicodeError as error:
        raise PathError("an escape that is not UTF-8") from error
    folded = unicodedata.normalize("NFKC", text)
    if any(folded.count(char) != text.count(char) for char in "/\\.%"):
        raise PathError("a character that some servers read as a separator")


def _resolve(path: str) -> str:
    parts: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        name = segment.split(";", 1)[0]
        if name in {".", ".."} and segment != name:
            raise PathError("a dot segment with parameters")
        if segment == "..":
            del parts[-1:]
        elif segment not in {"", "."}:
            parts.append(segment)
    slash = "/" if parts and segments[-1] in {"", ".", ".."} else ""
    return "/" + "/".join(parts) + slash


def decode(text: str) -> str:
    """Return ``text`` with every valid escape decoded to the character of its byte (Latin-1)."""
    return re.sub(r"%([0-9A-Fa-f]{2})", lambda match: chr(int(match.group(1), 16)), text)


def spellings(path: str) -> tuple[str, ...]:
    """Return the readings of a normal path that a rule has to agree with: itself, and with a scope's slash decoded."""
    return (path, path.replace("%2F", "/", 1)) if "%2F" in path else (path,)


def is_under(path: str, prefix: str) -> bool:
    """Say whether a normal ``path`` lies under ``prefix`` at a segment boundary.

    ``/v1`` covers ``/v1`` and ``/v1/x``, ``/v1/`` only what is below it; neither covers ``/v1beta``.
    """
    if prefix.endswith("/"):
        return path.startswith(prefix)
    return path == prefix or path.startswith(prefix + "/")
