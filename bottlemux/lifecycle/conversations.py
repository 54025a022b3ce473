"""Which conversation an agent is in, and a copy of it that outlives the agent's home.

Everything in a home directory is its agent's: names, links, sizes. An id is taken for nothing but the name of a file
there, and the agent that forges one gets another conversation of its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from backends.presets import PRESETS
from bottlemux.files import make_private_dir, open_hostile_dir, open_hostile_file
from bottlemux.lifecycle.observing import read_activity
from bottlemux.state.liveness import may_run_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from backends.presets import Preset
    from bottlemux.paths import BottlePaths

MAX_COPIED_BYTES = 256 << 20
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_MAX_LISTED = 4096
_MAX_SEARCHED = 32
_MAX_READ = 1 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Conversation:
    """A conversation in a bottle's home: its id, and its file below the home directory."""

    session_id: str
    place: PurePosixPath


def is_session_id(text: str) -> bool:
    """Tell whether ``text`` has the form of an id, and so is safe in a file's name and as an argument."""
    return re.fullmatch(_UUID, text) is not None


def current(files: BottlePaths) -> Conversation | None:
    """Return the conversation that the agent of a bottle is in, as far as its home tells; ``None`` without any.

    That is the one its program reported, if somebody typed in it, else the one that somebody typed in last.
    """
    reported = _reported(files)
    for preset in _naming_presets():
        with contextlib.suppress(OSError):
            if found := _search(files.home, preset, reported):
                return found
    return None


def to_continue(files: BottlePaths) -> str:
    """Return the id of the conversation that a bottle's agent goes on with; empty without any.

    Of one on another machine it is the one that its program reported: its home is there, and any here is an older one.
    """
    if may_run_elsewhere(files):
        reported = _reported(files)
        return reported if is_session_id(reported) else ""
    found = current(files)
    return found.session_id if found else ""


def _reported(files: BottlePaths) -> str:
    activity = read_activity(files.activity)
    return activity.session if activity else ""


def keep(files: BottlePaths) -> Conversation | None:
    """Copy the current conversation out of the home, in place of an older copy, and return which one that is.

    A copy is left alone where there is nothing newer, or nothing of a size to keep.
    """
    found = current(files)
    if found is None:
        return None
    with contextlib.suppress(OSError):
        directory = open_hostile_dir(files.home, found.place.parent)
        try:
            with os.fdopen(open_hostile_file(directory, found.place.name), "rb") as source:
                _copy(source.fileno(), make_private_dir(files.transcripts), found.place.name)
        finally:
            os.close(directory)
    return found


def _naming_presets() -> Iterator[Preset]:
    return (preset for preset in PRESETS.values() if preset.resume_one)


def _search(home: Path, preset: Preset, reported: str) -> Conversation | None:
    pattern = PurePosixPath(preset.conversation)
    directory = open_hostile_dir(home, pattern.parent)
    marks = (preset.conversation_mark, preset.interactive_mark)
    try:
        named = [f"{reported}{pattern.suffix}"] if is_session_id(reported) else []
        for name in (*named, *_newest(directory, pattern.suffix)):
            if _holds(directory, name, marks):
                return Conversation(name.removesuffix(pattern.suffix), pattern.parent / name)
    finally:
        os.close(directory)
    return None


def _newest(directory: int, suffix: str) -> Iterable[str]:
    """Return the names of conversations, the one that was written last first."""
    times: dict[str, int] = {}
    with os.scandir(directory) as entries:
        for entry in islice(entries, _MAX_LISTED):
            if re.fullmatch(_UUID + re.escape(suffix), entry.name):
                with contextlib.suppress(OSError):
                    times[entry.name] = entry.stat(follow_symlinks=False).st_mtime_ns
    return sorted(times, key=times.__getitem__, reverse=True)[:_MAX_SEARCHED]


def _holds(directory: int, name: str, marks: Iterable[str]) -> bool:
    """Tell whether the file begins like one that has all ``marks``."""
    try:
        with os.fdopen(open_hostile_file(directory, name), "rb") as stream:
            beginning = stream.read(_MAX_READ)
    except OSError:
        return False
    return all(mark.encode() in beginning for mark in marks)


def _copy(source: int, target: Path, name: str) -> None:
    status = os.fstat(source)
    with contextlib.suppress(FileNotFoundError):
        old = (target / name).lstat()
        if (old.st_size, old.st_mtime_ns) == (status.st_size, status.st_mtime_ns):
            return
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=target)
    try:
        with os.fdopen(descriptor, "wb") as writing:
            _copy_bytes(source, descriptor)
            os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))
            writing.flush()
            os.fsync(descriptor)
        os.replace(temporary, target / name)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108
        raise
    for other in target.iterdir():
        if other.name != name:
            other.unlink(missing_ok=True)


def _copy_bytes(source: int, target: int) -> None:
    """Copy everything; ``OSError`` for a file that is larger than a conversation, or grows without an end."""
    left = MAX_COPIED_BYTES
    while data := os.read(source, _CHUNK):
        left -= len(data)
        if left < 0:
            raise OSError("the conversation is too large to keep a copy")
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]
