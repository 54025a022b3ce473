"""One form for whatever is wrong in a manifest: ``FILE:LINE: KEY: MESSAGE (value ...; accepted: ...)``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bottlemux.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

type KeyPath = tuple[str | int, ...]

_MAX_SHOWN = 60
# Where people paste a secret by mistake: the line is named, the value is not repeated.
_UNSHOWN = frozenset({"env", "token_ref", "tokens", "secret", "password", "known_host_key"})


class ManifestError(UsageError):
    """A manifest or ``config.toml`` is wrong. The message is the first problem, ``also`` are the others."""

    topic = "manifest"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake at one place. ``line`` counts from 1; ``extra`` is what follows the message in brackets."""

    source: Path
    line: int
    key: KeyPath
    message: str
    extra: tuple[str, ...] = ()

    def __str__(self) -> str:
        key = f"{dotted(self.key)}: " if self.key else ""
        extra = f" ({'; '.join(self.extra)})" if self.extra else ""
        return f"{self.source}:{self.line}: {key}{self.message}{extra}"


def failure(problems: Sequence[Problem], *, hint: str = "") -> ManifestError:
    """Return the error for ``problems``, in the order of their lines."""
    ordered = sorted(dict.fromkeys(problems), key=lambda problem: problem.line)
    first, *also = map(str, ordered)
    return ManifestError(first, hint=hint, also=also)


def dotted(key: KeyPath) -> str:
    """Return ``key`` as people write it: ``egress.routes[0].host``. Odd characters are shown escaped."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = part if part.isidentifier() and part.isascii() else shown(part)
            text += f".{plain}" if text else plain
    return text


def shown(value: object) -> str:
    """Return a short, printable form of a value from a manifest."""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def value_of(key: KeyPath, value: object) -> tuple[str, ...]:
    """Return ``value ...`` for a message; nothing for a whole section and where it may be a secret."""
    if isinstance(value, dict | list) or _UNSHOWN.intersection(map(str, key)):
        return ()
    return (f"value {shown(value)}",)


def accepted(names: Iterable[str]) -> str:
    """Return ``accepted: ...`` for a message."""
    return f"accepted: {', '.join(sorted(names)) or 'none'}"


def suggestion(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return ``did you mean ...?`` when a known name is close to ``name``."""
    from difflib import get_close_matches

    close = get_close_matches(name, sorted(known), n=1)
    return (f"did you mean {close[0]!r}?",) if close else ()
