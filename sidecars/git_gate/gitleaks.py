"""The gitleaks program as a scanner, deaf to everything that a pushed tree could tell it."""

from __future__ import annotations

import bisect
import json
import os
import time
from typing import TYPE_CHECKING, Any, cast

from sidecars.git_gate import children
from sidecars.git_gate.refusal import Refused, printable
from sidecars.git_gate.scanning import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sidecars.git_gate.objects import NewObject

_CONFIG = "[extend]\nuseDefault = true\n"
_FOUND = 77


class GitleaksScanner:
    """Runs the program on each batch, by standard input. ``directory`` is the gate's own, for its configuration.

    No file of the repository is on disk for it to find, allow comments are ignored, its report is redacted. Any
    end but a clean one with a well-formed report refuses the push.
    """

    def __init__(self, binary: Path, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._config = directory / "config.toml"
        self._config.write_text(_CONFIG)
        self._empty = directory / "empty"
        self._empty.mkdir(mode=0o700, exist_ok=True)
        self._binary = binary

    async def scan(self, batch: Sequence[NewObject], *, deadline: float) -> list[Finding]:
        """Return what the program found."""
        text, first_lines = _joined(batch)
        ended = await children.run(
            self._argv(),
            env={"PATH": os.defpath, "HOME": str(self._empty)},
            cwd=self._empty,
            stdin=text,
            timeout_s=max(0.0, deadline - time.monotonic()),
        )
        return [
            Finding(rule, batch[bisect.bisect_right(first_lines, line) - 1]) for rule, line in _report(ended)
        ]

    def _argv(self) -> list[str]:
        ignored = str(self._empty)
        return [
            str(self._binary), "stdin", "--config", str(self._config), "--gitleaks-ignore-path", ignored,
            "--ignore-gitleaks-allow", "--redact=100", "--no-banner", "--no-color", "--log-level", "error",
            "--report-format", "json", "--report-path", "-", "--exit-code", str(_FOUND),
        ]  # fmt: skip


def _joined(batch: Sequence[NewObject]) -> tuple[bytes, list[int]]:
    parts: list[bytes] = []
    first_lines: list[int] = []
    line = 1
    for item in batch:
        first_lines.append(line)
        parts.append(item.data + b"\n")
        line += parts[-1].count(b"\n")
    return b"".join(parts), first_lines


def _report(ended: children.Ended) -> list[tuple[str, int]]:
    if ended.code not in {0, _FOUND}:
        raise Refused("scanner-failed", "the gitleaks program failed", hint="ask the operator to check it")
    try:
        report = cast("list[dict[str, Any]]", json.loads(ended.out))
        found = [(printable(str(entry["RuleID"])), int(entry["StartLine"])) for entry in report]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused("scanner-failed", "the gitleaks program's report makes no sense") from error
    if bool(found) != (ended.code == _FOUND):
        raise Refused("scanner-failed", "the gitleaks program contradicts itself")
    return found
