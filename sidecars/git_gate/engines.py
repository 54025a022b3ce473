"""The scanners of the gate: the built-in engine always, and gitleaks besides where it is installed."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from sidecars.git_gate.gitleaks import GitleaksScanner
from sidecars.git_gate.refusal import Refused
from sidecars.git_gate.scanning import Finding, Scanner
from sidecars.scan.budget import Budget, Limits, UnreadableError
from sidecars.scan.engine import Engine
from sidecars.scan.exact import SecretNeedles
from sidecars.scan.inspect import Inspector
from sidecars.scan.library import push_engine
from sidecars.scan.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecars.git_gate.objects import NewObject
    from sidecars.git_gate.spec import GitGateSpec

_OBJECT_S = 30.0
_UNREADABLE = "leave encrypted and oversized archives out of the push"


class BuiltinScanner:
    """Looks for known formats and for the bottle's own secrets, through encodings and archives.

    Paths are the pusher's choice, so no path makes a file exempt; a rule may only ask for one.
    """

    def __init__(self, engine: Engine, needles: tuple[str, ...]) -> None:
        self._inspector = Inspector(engine, SecretNeedles(needles))
        self._of_paths = Engine([rule for rule in engine.rules if rule.path is not None])
        self._places = [Pattern(rule.path) for rule in engine.rules if rule.path is not None]

    async def scan(self, batch: Sequence[NewObject], *, deadline: float) -> list[Finding]:
        """Return what was found, in order; raises :class:`Refused` for what cannot be read."""
        return await asyncio.to_thread(self._scan, batch, deadline)

    def _scan(self, batch: Sequence[NewObject], deadline: float) -> list[Finding]:
        return [Finding(rule, item) for item in batch for rule in self._rules(item, deadline)]

    def _rules(self, item: NewObject, deadline: float) -> list[str]:
        seconds = min(_OBJECT_S, max(0.0, deadline - time.monotonic()))
        try:
            found = self._inspector.rules(item.data, budget=Budget(Limits(max_seconds=seconds)))
        except UnreadableError as error:
            message = f"{item.where()} cannot be scanned: {error.reason}"
            raise Refused("unreadable", message, hint=_UNREADABLE) from error
        return [*found, *self._rules_by_path(item, deadline)]

    def _rules_by_path(self, item: NewObject, deadline: float) -> list[str]:
        for path in (item.path, *item.elsewhere):
            if not any(place.search(path.encode()) for place in self._places):
                continue
            if found := self._of_paths.scan(item.data, path=path, deadline=deadline):
                return [match.rule for match in found]
        return []


class BothScanner:
    """Asks several scanners and believes every finding."""

    def __init__(self, scanners: Sequence[Scanner]) -> None:
        self._scanners = scanners

    async def scan(self, batch: Sequence[NewObject], *, deadline: float) -> list[Finding]:
        """Return the findings of the first scanner that has some."""
        for scanner in self._scanners:
            if found := await scanner.scan(batch, deadline=deadline):
                return found
        return []


def make_scanner(spec: GitGateSpec) -> Scanner:
    """Return the scanner for a gate's pushes."""
    builtin = BuiltinScanner(push_engine(), spec.needles)
    if spec.gitleaks is None:
        return builtin
    return BothScanner([builtin, GitleaksScanner(spec.gitleaks, spec.cache_dir / "gitleaks")])


def preload_engine() -> None:
    """Compile the rules, before a fork."""
    push_engine().preload()
