"""The scanners of the gate: the built-in engine always, and the gitleaks program where the operator has it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sidecars.git_gate.scanning import Finding, Scanner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecars.git_gate.objects import NewObject
    from sidecars.git_gate.spec import GitGateSpec
    from sidecars.scan.engine import Engine


class BuiltinScanner:
    """Scans with the engine that pipelock uses too."""

    def __init__(self, engine: Engine, needles: tuple[str, ...]) -> None:
        self._engine = engine
        self._needles = [needle.encode() for needle in needles]

    async def scan(self, batch: Sequence[NewObject], *, deadline: float) -> list[Finding]:
        """Return what was found, in the order of ``batch``."""
        return await asyncio.to_thread(self._scan, batch, deadline)

    def _scan(self, batch: Sequence[NewObject], deadline: float) -> list[Finding]:
        return [
            Finding(match.rule, item)
            for item in batch
            for match in self._engine.scan(item.data, path=item.path, deadline=deadline)
        ]


def make_scanner(spec: GitGateSpec) -> Scanner:
    """Return the scanner for a gate's pushes."""
    from sidecars.scan.library import push_engine

    return BuiltinScanner(push_engine(), spec.needles)


def preload_engine() -> None:
    """Compile the rules."""
    from sidecars.scan.library import push_engine

    push_engine().preload()
