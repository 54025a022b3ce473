"""Lines of ours in the user's tmux.conf, and the way back: byte for byte, whatever else was written into it since."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bottlemux.errors import BottlemuxError
from bottlemux.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping

_COMMENT = "# bottlemux: one key opens all of its own (bottlemux keys uninstall removes these two lines)"
_NEW_FILE_MODE = 0o644


@dataclass(frozen=True)
class Addition:
    """What was added to ``path``: the very text, with the line break before it that the file's end lacked, if so.

    ``made`` says that there was no such file before.
    """

    path: str
    added: str
    made: bool

    def to_json(self) -> dict[str, object]:
        """Return JSON-ready values; :meth:`from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> Addition:
        """Return the record in ``value``; ``BottlemuxError`` for anything else."""
        try:
            record = cast("dict[str, object]", value)
            return cls(str(record["path"]), str(record["added"]), made=bool(record["made"]))
        except (KeyError, TypeError) as error:
            raise BottlemuxError(f"the record of lines in tmux.conf is broken: {error}") from error


def find_conf(environ: Mapping[str, str]) -> Path:
    """Return the configuration that tmux reads for this user; where there is none, the one to be made."""
    home = Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111
    root = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    candidates = [home / ".tmux.conf", root / "tmux" / "tmux.conf", home / ".config" / "tmux" / "tmux.conf"]
    return next((path for path in candidates if path.exists()), candidates[0])


def planned(path: Path, line: str) -> Addition:
    """Return what adding ``line`` to ``path`` would be. Writes nothing."""
    content = _read(path)
    gap = "\n" if content and not content.endswith(b"\n") else ""
    return Addition(str(path), f"{gap}{_COMMENT}\n{line}\n", made=content is None)


def add(addition: Addition) -> None:
    """Write ``addition`` to the end of its file; a link to the file stays one."""
    path = Path(addition.path)
    _write(path, (_read(path) or b"") + addition.added.encode("utf-8", "surrogateescape"))


def is_there(addition: Addition) -> bool:
    """Tell whether the file has exactly the lines that were added, once."""
    content = _read(Path(addition.path)) or b""
    return content.count(addition.added.strip("\n").encode("utf-8", "surrogateescape") + b"\n") == 1


def remove(addition: Addition) -> None:
    """Take the lines out again; what was written around them stays. A file that was made for them goes."""
    path = Path(addition.path)
    content = _read(path) or b""
    added = addition.added.encode("utf-8", "surrogateescape")
    before, found, after = content.rpartition(added)
    if not found:
        added = added.lstrip(b"\n")
        before, found, after = content.rpartition(added)
    # The line break that we put before ours separates what was there from what was written behind ours.
    rest = before + (b"\n" if after and added.startswith(b"\n") else b"") + after
    if addition.made and not rest:
        path.resolve().unlink(missing_ok=True)
    else:
        _write(path, rest)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BottlemuxError(f"{path} cannot be read: {error.strerror}") from error


def _write(path: Path, content: bytes) -> None:
    target = path.resolve()
    try:
        mode = target.stat().st_mode & 0o7777 if target.exists() else _NEW_FILE_MODE
        write_atomic(target, content, mode=mode)
    except OSError as error:
        raise BottlemuxError(f"{path} cannot be written: {error.strerror}") from error
