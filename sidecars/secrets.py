"""Real credentials: read on the host when they are needed, and shown to nobody.

No text that leaves this module, neither an exception nor a ``repr``, holds a value.
"""

from __future__ import annotations

import os
import stat
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

COMMAND_INTERVAL_S = 60.0
COMMAND_TIMEOUT_S = 10.0
MAX_SECRET_BYTES = 16 * 1024
PLACEHOLDER_PREFIX = "bottlemux-placeholder-"


class SecretUnavailable(Exception):  # noqa: N818 - a state the caller handles, named for it
    """A credential cannot be had now. The text names it and says why, without any part of a value."""


@dataclass(frozen=True)
class SecretSource:
    """Where one credential comes from: exactly one of a value, a file, or a command that prints it."""

    value: str | None = field(default=None, repr=False)
    path: Path | None = None
    argv: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if sum(part is not None for part in (self.value, self.path, self.argv)) != 1:
            raise ValueError("a secret comes from exactly one of a value, a file and a command")

    @property
    def kind(self) -> str:
        """``value``, ``file`` or ``command``."""
        if self.value is not None:
            return "value"
        return "file" if self.path is not None else "command"


@dataclass
class _Cached:
    version: object
    value: str = field(repr=False)
    failure: str = ""


class SecretStore:
    """Hands out the current value of each secret. Safe to use from several threads.

    A file is read again when it changed, a command run again after ``COMMAND_INTERVAL_S``, so that a rotation on
    the host needs no restart.
    """

    def __init__(
        self, sources: Mapping[str, SecretSource], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sources = dict(sources)
        self._cache: dict[str, _Cached] = {}
        self._clock = clock
        # One lock for each: a slow command holds up nobody else's secret.
        self._locks = {name: threading.Lock() for name in self._sources}

    def __repr__(self) -> str:
        return f"SecretStore({sorted(self._sources)})"

    @property
    def names(self) -> frozenset[str]:
        """The names that have a source, whether or not they can be had now."""
        return frozenset(self._sources)

    def may_block(self, name: str) -> bool:
        """Say whether :meth:`get` would run a command now, which takes its time."""
        source = self._sources.get(name)
        if source is None or source.argv is None:
            return False
        cached = self._cache.get(name)
        return cached is None or not self._is_fresh(cached)

    def _is_fresh(self, cached: _Cached) -> bool:
        return isinstance(cached.version, float) and self._clock() - cached.version < COMMAND_INTERVAL_S

    def get(self, name: str) -> str:
        """Return the value of ``name``. Raises :class:`SecretUnavailable`, also for a value no header can hold."""
        source = self._sources.get(name)
        if source is None:
            raise SecretUnavailable(f"{name} is not set on the host")
        if source.value is not None:
            return _checked(name, source.value)
        with self._locks[name]:
            cached = self._read_file(name, source.path) if source.path else self._run(name, source.argv or ())
            self._cache[name] = cached
        if cached.failure:
            raise SecretUnavailable(cached.failure)
        return cached.value

    def _read_file(self, name: str, path: Path) -> _Cached:
        try:
            with path.expanduser().open("rb") as stream:
                status = os.fstat(stream.fileno())
                version = (status.st_mtime_ns, status.st_ino, status.st_size)
                cached = self._cache.get(name)
                if cached is not None and cached.version == version:
                    return cached
                if not stat.S_ISREG(status.st_mode):
                    return _Cached(None, "", f"the file of {name} is not a regular file")
                raw = stream.read(MAX_SECRET_BYTES + 1)
        except OSError as error:
            return _Cached(None, "", f"the file of {name} cannot be read: {error.strerror}")
        return _cached(name, raw, version)

    def _run(self, name: str, argv: tuple[str, ...]) -> _Cached:
        cached = self._cache.get(name)
        if cached is not None and self._is_fresh(cached):
            return cached
        try:
            done = subprocess.run(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=COMMAND_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _Cached(self._clock(), "", f"the command of {name} did not end in {COMMAND_TIMEOUT_S:g} s")
        except OSError as error:
            return _Cached(self._clock(), "", f"the command of {name} cannot be run: {error.strerror}")
        if done.returncode != 0:
            return _Cached(
                self._clock(), "", f"the command of {name} failed with exit code {done.returncode}"
            )
        return _cached(name, done.stdout, self._clock())


def _cached(name: str, raw: bytes, version: object) -> _Cached:
    try:
        return _Cached(version, _checked(name, raw.decode()))
    except UnicodeDecodeError:
        return _Cached(version, "", f"{name} is not text")
    except SecretUnavailable as error:
        return _Cached(version, "", str(error))


def _checked(name: str, value: str) -> str:
    """Return ``value`` without its final newline if it can stand in a header. Raises :class:`SecretUnavailable`."""
    text = value.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        raise SecretUnavailable(f"{name} is empty")
    if len(text) > MAX_SECRET_BYTES:
        raise SecretUnavailable(f"{name} is longer than {MAX_SECRET_BYTES} characters")
    if "\n" in text or "\r" in text:
        raise SecretUnavailable(f"{name} has more than one line")
    if not all(" " <= char <= "~" for char in text) or text != text.strip():
        raise SecretUnavailable(f"{name} has characters that no header can hold")
    return text


def placeholder(name: str) -> str:
    """Return what stands for the secret ``name`` in the agent's environment. It is no secret."""
    return PLACEHOLDER_PREFIX + name
