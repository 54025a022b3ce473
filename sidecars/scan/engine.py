"""Finds secrets in bytes by rules, with the semantics of gitleaks on an engine of linear time.

One pass finds which keywords occur; only the rules they belong to are then searched for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sidecars.scan.compiled import CompiledRule, compile_rule
from sidecars.scan.patterns import LiteralSet
from sidecars.scan.rules import Rule, RuleSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DEFAULT_LIMIT = 1000


class ScanTimeoutError(Exception):
    """The scan did not end before its deadline. Nothing may be concluded: refuse what was scanned."""


@dataclass(frozen=True, order=True)
class Match:
    """``rule`` found a secret at ``data[start:end]``. The value is not kept, so it cannot be logged."""

    start: int
    end: int
    rule: str


class Engine:
    """Searches for the secrets of a rule set. Safe to share between threads and across a fork.

    With ``validate`` a finding that its checksum or structure proves dead is dropped; without, formats alone
    count. Rules are compiled at the first scan or by :meth:`preload`.
    """

    def __init__(self, rules: RuleSet | Iterable[Rule], *, validate: bool = False) -> None:
        self.rules: tuple[Rule, ...] = rules.rules if isinstance(rules, RuleSet) else tuple(rules)
        self._validate = validate

    def preload(self) -> None:
        """Compile everything now, so that processes forked later share it."""
        for rule in self._compiled:
            rule.preload()
        self._keywords.find(b"")

    def scan(self, data: bytes, *, path: str = "", deadline: float | None = None) -> list[Match]:
        """Return what was found, ordered by place, at most ``DEFAULT_LIMIT`` findings.

        ``path`` is what the rules' path criteria apply to. ``deadline`` is a ``time.monotonic`` moment
        after which :class:`ScanTimeoutError` is raised; one rule over ``data`` is the granularity.
        """
        found: set[Match] = set()
        for match in self._search(data, path, deadline):
            found.add(match)
            if len(found) >= DEFAULT_LIMIT:
                break
        return sorted(found)

    def first(self, data: bytes, *, path: str = "", deadline: float | None = None) -> Match | None:
        """Return one finding, or None; cheaper than :meth:`scan` when one is enough to refuse."""
        return next(self._search(data, path, deadline), None)

    def _search(self, data: bytes, path: str, deadline: float | None) -> Iterator[Match]:
        for rule in self._candidates(data):
            for start, end in rule.search(data, path, validate=self._validate):
                yield Match(start, end, rule.id)
                _check(deadline)
            _check(deadline)

    def _candidates(self, data: bytes) -> list[CompiledRule]:
        hits = self._keywords.find(data.lower())
        wanted = set(self._unconditional).union(*(self._owners[hit] for hit in hits))
        return [self._compiled[index] for index in sorted(wanted)]

    @cached_property
    def _compiled(self) -> list[CompiledRule]:
        return [compile_rule(rule) for rule in self.rules]

    @cached_property
    def _vocabulary(self) -> dict[bytes, list[int]]:
        owners: dict[bytes, list[int]] = {}
        for index, rule in enumerate(self.rules):
            for keyword in rule.keywords:
                owners.setdefault(keyword, []).append(index)
        return owners

    @cached_property
    def _keywords(self) -> LiteralSet:
        return LiteralSet(list(self._vocabulary))

    @cached_property
    def _owners(self) -> list[list[int]]:
        return list(self._vocabulary.values())

    @cached_property
    def _unconditional(self) -> list[int]:
        return [index for index, rule in enumerate(self.rules) if not rule.keywords]


def _check(deadline: float | None) -> None:
    if deadline is not None and time.monotonic() > deadline:
        raise ScanTimeoutError("the scan did not end in time")
